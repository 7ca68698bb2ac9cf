"""A restaurant in Spanish, as somebody else would test it: a soft handoff, methods as handlers, and nurseries."""

from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import MockClock

from agents.functions import (
    END_CONVERSATION,
    Answer,
    ArgumentsRefused,
    CallContext,
    FunctionFailed,
    FunctionSpec,
    Handler,
    Outcome,
    handoff_to_next_agent,
)
from agents.sentences import Sentences
from agents.spec import AgentOptions, AgentSpec, soft
from testkit import answers, calls, conversation, play, says
from testkit.transcript import PromiseBroken

SPANISH = AgentOptions(listen_model="flux-general-multi", listen_language=("es",))


@attrs.frozen
class Booking:
    guests: int | None
    name: str = ""


@attrs.define
class Diary:
    """Takes bookings, in a nursery of its own."""

    error: Callable[[], Exception] | None = None
    taken: int = 0

    async def book(self, arguments: Booking, context: CallContext) -> Outcome:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.1)
            nursery.start_soon(self._ask)
        self.taken += 1
        return Answer({"booked": True}, {"guests": str(arguments.guests)})

    async def _ask(self) -> None:
        await trio.sleep(0.2)
        if self.error is not None:
            raise self.error()


def restaurant(book: Handler, options: AgentOptions = SPANISH) -> tuple[AgentSpec, ...]:
    spec = FunctionSpec("book", "Reserva una mesa.", Booking, book)
    return (
        AgentSpec(
            "host", "anfitriona", "Recibes.", "Hola, soy Ana.", "aura-2-celeste-es",
            (handoff_to_next_agent("waiter"), END_CONVERSATION), (soft("waiter"),), options=options,
        ),
        AgentSpec(
            "waiter", "mesero", "Reservas.", "¿Para cuántas personas?", "aura-2-nestor-es",
            (spec, END_CONVERSATION), options=options,
        ),
    )  # fmt: skip


CALL = conversation(
    says("Quiero una mesa."),
    answers("host", "¿Le paso con Luis?"),
    says("Sí, por favor."),
    answers("host", calls=calls("handoff_to_next_agent", reason="una mesa")),
    says("Para cuatro."),
    answers("waiter", "Un momento.", calls=calls("book", guests="4"), then="Listo. ¿Algo más?", on_error="No se pudo."),
    says("No, gracias. Adiós."),
    answers("waiter", "Adiós.", calls=calls("end_conversation", reason="task_complete")),
)


async def test_a_call_in_another_language_keeps_no_rules_of_english_words(autojump_clock: MockClock) -> None:
    diary = Diary()

    call = await play(restaurant(diary.book), CALL)

    call.expect_handoff("waiter", how="soft").expect_called("book", guests=4, name="").expect_heard("Listo")
    assert (diary.taken, call.outcome) == (1, "completed")


async def test_an_agent_that_may_hear_english_keeps_them(autojump_clock: MockClock) -> None:
    both = attrs.evolve(SPANISH, listen_language=("es", "en-US"))

    with pytest.raises(PromiseBroken, match="consent: host handed the call to waiter"):
        await play(restaurant(Diary().book, both), CALL)


async def test_rules_of_english_words_are_left_to_the_agents_that_speak_it(autojump_clock: MockClock) -> None:
    both, ours = attrs.evolve(SPANISH, listen_language=("es", "en-US")), Sentences(language="es-MX")
    host, waiter = restaurant(Diary().book, both)

    call = await play((attrs.evolve(host, sentences=ours), waiter), CALL)
    with pytest.raises(PromiseBroken, match="consent: host handed the call to waiter"):
        await play((host, attrs.evolve(waiter, sentences=ours)), CALL)

    assert call.outcome == "completed"


@pytest.mark.parametrize("error", [lambda: FunctionFailed("No hay mesa."), lambda: ArgumentsRefused(["No hay mesa."])])
async def test_what_a_handler_says_out_of_its_nursery_is_no_mistake(
    autojump_clock: MockClock, error: Callable[[], Exception]
) -> None:
    call = await play(restaurant(Diary(error).book), CALL)

    (booked,) = [each for each in call.calls if each.name == "book"]
    assert "No hay mesa." in str(booked.result)


async def test_a_mistake_out_of_a_handlers_nursery_is_told_with_its_place(autojump_clock: MockClock) -> None:
    with pytest.raises(PromiseBroken, match=r"in .*test_restaurant.py:\d+: it raised KeyError: 'db'"):
        await play(restaurant(Diary(lambda: KeyError("db")).book), CALL)
