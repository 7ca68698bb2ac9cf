"""The Summarizer alone: a mailbox, a conversation, and a language model that does what the test says."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.errors import BriefUnavailable
from actors.facts import SummaryFailed, SummaryStarted, SummaryWritten
from actors.messages import PreparedBrief, WriteBrief
from actors.policy import CallPolicy, SummaryMode
from actors.summarizer import BriefCost, BriefText, Summarizer
from tests.actors.fakes import PATIENCE, ROSTER, Watched

ON_HANDOFF = CallPolicy(summary_mode=SummaryMode.ON_HANDOFF)
GAP = CallPolicy().deadlines.brief_gap
NEWS = " ".join(["word"] * CallPolicy().numbers.brief_words)
"""As much as is worth another Brief."""


@attrs.define(eq=False)
class Model:
    """A language model: each answer in its turn, `takes` seconds after it was asked; the last one again and again."""

    answers: deque[str | Exception]
    takes: float = 0.0
    asked: list[str] = attrs.field(factory=list)
    running: int = 0
    most_running: int = 0

    async def ask(self, messages: list[dict[str, str]]) -> str:
        self.asked.append(messages[-1]["content"])
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await trio.sleep(self.takes)
        finally:
            self.running -= 1
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@attrs.define(eq=False)
class Scene:
    """A Summarizer at work."""

    watched: Watched
    model: Model
    address: trio.MemorySendChannel[WriteBrief]
    summarizer: Summarizer
    over: trio.Event = attrs.field(factory=trio.Event)

    async def hear(self, text: str) -> None:
        """Let the caller say something, as a session would report it."""
        self.watched.state.conversation.add_caller(text)
        await self.address.send(WriteBrief("second"))
        await wait_all_tasks_blocked()

    async def ask(self, reader: str = "second") -> PreparedBrief:
        send, receive = trio.open_memory_channel[PreparedBrief](1)
        with send, receive, trio.fail_after(PATIENCE):
            await self.address.send(WriteBrief(reader, send))
            return await receive.receive()


def written(summary: str, **entries: str) -> str:
    return orjson.dumps({"summary": summary, **entries}).decode()


@asynccontextmanager
async def a_summarizer(
    *answers: str | Exception, takes: float = 0.0, policy: CallPolicy | None = None, is_there: bool = True
) -> AsyncIterator[Scene]:
    watched = Watched(policy or CallPolicy())
    model = Model(deque(answers or [written("A summary.")]), takes)
    summarizer = Summarizer(watched.state, ROSTER, model.ask if is_there else None)
    scene = Scene(watched, model, watched.state.mail.to_summarizer, summarizer)

    async def run() -> None:
        await summarizer.run()
        scene.over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield scene
        nursery.cancel_scope.cancel(reason="end of the test")


# Working ahead


async def test_after_a_turn_the_brief_is_written_ahead_and_is_there_at_once(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Wants a pension.", name="Ada"), takes=0.5) as scene:
        await scene.hear("I am Ada, I want a pension.")
        await trio.sleep(1)
        prepared = await scene.ask()

        assert trio.current_time() == pytest.approx(1)
        assert (prepared.source, prepared.why) == ("groq", "")
        assert (prepared.brief.summary, prepared.brief.name) == ("Wants a pension.", "Ada")
        assert prepared.brief.recent == ()
        assert "I want a pension." in scene.model.asked[0]
        assert scene.watched.facts(SummaryStarted) == [SummaryStarted("second")]
        assert scene.watched.facts(SummaryWritten) == [SummaryWritten("second", 0.5)]


async def test_what_was_said_since_the_brief_is_added_word_for_word(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Wants a pension."), takes=1.0) as scene:
        await scene.hear("I want a pension.")
        await trio.sleep(2)
        await scene.hear("And soon.")
        prepared = await scene.ask()

        assert trio.current_time() == pytest.approx(2)
        assert prepared.brief.summary == "Wants a pension."
        assert [(turn.speaker, turn.text) for turn in prepared.brief.recent] == [("caller", "And soon.")]


async def test_what_functions_recorded_overrules_what_was_understood(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Wants something.", need="a mortgage")) as scene:
        await scene.hear("I want a pension.")
        scene.watched.state.conversation.facts["need"] = "a pension"
        prepared = await scene.ask()

        assert prepared.brief.need == "a pension"


async def test_turns_that_come_while_a_brief_is_written_are_one_more_request_and_never_two_at_once(
    autojump_clock: MockClock,
) -> None:
    async with a_summarizer(takes=1.0) as scene:
        for number in range(6):
            await scene.hear(f"Sentence {number}, {NEWS}.")
        await trio.sleep(3 * GAP)

        assert len(scene.model.asked) == 2
        assert scene.model.most_running == 1
        assert "Sentence 5," in scene.model.asked[1]
        assert "Sentence 1," not in scene.model.asked[0]


async def test_who_asks_before_the_first_brief_is_written_gets_it_when_it_is(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Wants a pension."), takes=1.0) as scene:
        await scene.hear("I want a pension.")
        await trio.sleep(0.4)
        prepared = await scene.ask()

        assert trio.current_time() == pytest.approx(1)
        assert prepared.brief.summary == "Wants a pension."


async def test_who_asks_before_anything_was_said_gets_an_extract_at_once(autojump_clock: MockClock) -> None:
    async with a_summarizer() as scene:
        prepared = await scene.ask()

        assert (prepared.source, prepared.why) == ("extract", "nothing was summarised yet")
        assert scene.model.asked == []


async def test_an_older_brief_is_given_while_a_newer_one_is_being_written(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Old."), written("New."), takes=1.0) as scene:
        await scene.hear("One.")
        await trio.sleep(GAP + 0.5)
        await scene.hear(NEWS)
        during = await scene.ask()
        at = trio.current_time()
        await trio.sleep(1.5)
        after = await scene.ask()

        assert (during.brief.summary, [turn.text for turn in during.brief.recent]) == ("Old.", [NEWS])
        assert at == pytest.approx(GAP + 0.5)
        assert (after.brief.summary, after.brief.recent) == ("New.", ())


# How often it is worth its price


async def ask_with_turns(scene: Scene, *turns: str, every: float = 2 * GAP) -> int:
    """Let the caller have these turns; return how many requests that took."""
    for text in turns:
        await scene.hear(text)
        await trio.sleep(every)
    return len(scene.model.asked)


async def test_a_word_or_two_is_no_reason_to_ask_again(autojump_clock: MockClock) -> None:
    async with a_summarizer() as scene:
        assert await ask_with_turns(scene, "I want a pension.", "Yes.", "Uh-huh.", "", "Okay then.", "Sure.") == 1


@pytest.mark.parametrize("turns", [(NEWS,), ("word",) * CallPolicy().numbers.brief_words])
async def test_enough_new_words_are_whether_in_one_turn_or_in_many(
    turns: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async with a_summarizer() as scene:
        assert await ask_with_turns(scene, "I want a pension.", *turns[:-1]) == 1
        assert await ask_with_turns(scene, turns[-1]) == 2


@pytest.mark.parametrize("every", [0.0, 0.5, 1.0, GAP / 2])
async def test_the_model_is_never_asked_twice_within_the_gap(every: float, autojump_clock: MockClock) -> None:
    asked_at: list[float] = []
    async with a_summarizer() as scene:
        real = scene.model.ask

        async def noting(messages: list[dict[str, str]]) -> str:
            asked_at.append(trio.current_time())
            return await real(messages)

        scene.summarizer.ask = noting
        await ask_with_turns(scene, *[NEWS] * 40, every=every)
        await trio.sleep(3 * GAP)

    assert len(asked_at) >= 2
    assert min(later - earlier for earlier, later in pairwise(asked_at)) >= GAP - 1e-6


async def test_what_was_said_within_the_gap_is_summarised_when_it_is_over(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Old."), written("New.")) as scene:
        await ask_with_turns(scene, "I want a pension.", NEWS, every=0.5)
        assert len(scene.model.asked) == 1
        await trio.sleep(GAP)

        assert (await scene.ask()).brief.summary == "New."


async def test_the_brief_for_another_agent_waits_for_no_gap(autojump_clock: MockClock) -> None:
    async with a_summarizer() as scene:
        await ask_with_turns(scene, "I want a pension.", NEWS, every=0.1)
        await scene.address.send(WriteBrief("first"))
        await wait_all_tasks_blocked()

        assert [fact.reader for fact in scene.watched.facts(SummaryStarted)] == ["second", "first"]


async def test_an_agent_that_nobody_expected_gets_an_extract_at_once(autojump_clock: MockClock) -> None:
    async with a_summarizer(takes=0.5) as scene:
        await ask_with_turns(scene, "I want a pension.", every=1.0)
        began = trio.current_time()
        prepared = await scene.ask("first")

        assert trio.current_time() == began
        assert prepared.source == "extract"


@pytest.mark.parametrize(
    ("said", "entry", "found"),
    [
        ("My name is Ada.", "name", "Ada"),
        ("I'm over in Denver.", "location", "Denver"),
        ("I'm interested in a pension.", "need", "pension"),
    ],
)
async def test_what_the_caller_has_said_since_the_brief_fills_its_gaps(
    said: str, entry: str, found: str, autojump_clock: MockClock
) -> None:
    async with a_summarizer(written("Calls."), written("Calls.", **{entry: "something else"})) as scene:
        await ask_with_turns(scene, "Hello there.")
        await scene.hear(said)
        prepared = await scene.ask()

        assert len(scene.model.asked) == 1
        assert getattr(prepared.brief, entry) == found
        assert [turn.text for turn in prepared.brief.recent] == [said]


async def test_what_the_model_has_understood_is_not_overruled_by_a_pattern(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Calls.", name="Ada")) as scene:
        await ask_with_turns(scene, "I am Ada.")
        await scene.hear("My name is Bob.")

        assert (await scene.ask()).brief.name == "Ada"


async def test_the_journal_says_what_a_brief_has_cost(autojump_clock: MockClock) -> None:
    answers = (
        BriefText(written("Calls."), BriefCost(2, 700, 90)),
        BriefText("no Brief", BriefCost(1, 800, 3)),
        BriefUnavailable("HTTP 503", requests=3),
    )
    async with a_summarizer(*answers) as scene:
        await ask_with_turns(scene, "Hello there.", NEWS, NEWS)

        assert scene.watched.facts(SummaryWritten) == [SummaryWritten("second", 0.0, 2, 700, 90)]
        assert [(one.requests, one.tokens_in, one.tokens_out) for one in scene.watched.facts(SummaryFailed)] == [
            (1, 800, 3),
            (3, 0, 0),
        ]


async def test_a_server_without_a_model_has_made_no_request(autojump_clock: MockClock) -> None:
    async with a_summarizer(is_there=False, policy=ON_HANDOFF) as scene:
        await scene.ask()

        assert [fact.requests for fact in scene.watched.facts(SummaryFailed)] == [0]


# When the model does not help


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (BriefUnavailable("HTTP 429"), "HTTP 429"),
        ("I would rather chat.", "no JSON object in the reply"),
        ('{"name": "Ada"}', "no summary in the reply"),
    ],
)
async def test_a_model_that_fails_costs_the_brief_and_the_extract_says_why(
    answer: str | Exception, why: str, autojump_clock: MockClock
) -> None:
    async with a_summarizer(answer) as scene:
        scene.watched.state.conversation.facts["need"] = "a pension"
        await scene.hear("I want a pension.")
        prepared = await scene.ask()

        assert (prepared.source, prepared.why) == ("extract", why)
        assert prepared.brief.need == "a pension"
        assert [turn.text for turn in prepared.brief.recent] == ["I want a pension."]
        assert scene.watched.facts(SummaryFailed) == [SummaryFailed("second", 0.0, why)]


async def test_a_model_that_hangs_is_given_up_at_the_deadline(autojump_clock: MockClock) -> None:
    async with a_summarizer(takes=100.0) as scene:
        await scene.hear("I want a pension.")
        prepared = await scene.ask()

        assert trio.current_time() == pytest.approx(3)
        assert (prepared.source, prepared.why) == ("extract", "no answer within 3 s")
        assert scene.model.running == 0


async def test_a_model_that_failed_just_now_is_not_waited_for_again(autojump_clock: MockClock) -> None:
    async with a_summarizer(BriefUnavailable("HTTP 500"), written("Late."), takes=1.0) as scene:
        await scene.hear("One.")
        await trio.sleep(1.5)
        await scene.hear("Two.")
        prepared = await scene.ask()

        assert trio.current_time() == pytest.approx(1.5)
        assert (prepared.source, prepared.why) == ("extract", "HTTP 500")


async def test_a_failure_does_not_spoil_the_brief_that_there_is(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Good."), BriefUnavailable("HTTP 500")) as scene:
        await scene.hear("One.")
        await trio.sleep(GAP)
        await scene.hear(NEWS)
        prepared = await scene.ask()

        assert len(scene.model.asked) == 2
        assert (prepared.source, prepared.brief.summary) == ("groq", "Good.")
        assert [turn.text for turn in prepared.brief.recent] == [NEWS]


async def test_the_next_turn_tries_again(autojump_clock: MockClock) -> None:
    async with a_summarizer(BriefUnavailable("HTTP 500"), written("Good.")) as scene:
        await scene.hear("One.")
        await trio.sleep(GAP)
        await scene.hear("Two.")
        prepared = await scene.ask()

        assert (prepared.source, prepared.brief.summary) == ("groq", "Good.")


@pytest.mark.parametrize("mode", SummaryMode)
async def test_without_a_model_every_brief_is_an_extract(mode: SummaryMode, autojump_clock: MockClock) -> None:
    async with a_summarizer(is_there=False, policy=CallPolicy(summary_mode=mode)) as scene:
        await scene.hear("I want a pension.")
        prepared = await scene.ask()

        assert prepared.source == "extract"
        assert [turn.text for turn in prepared.brief.recent] == ["I want a pension."]


# Only at the handoff


async def test_on_handoff_the_model_is_asked_once_and_then(autojump_clock: MockClock) -> None:
    async with a_summarizer(written("Wants a pension."), takes=0.5, policy=ON_HANDOFF) as scene:
        await scene.hear("I want a pension.")
        await scene.hear("Soon.")
        ahead = list(scene.model.asked)
        prepared = await scene.ask()

        assert ahead == []
        assert len(scene.model.asked) == 1
        assert trio.current_time() == pytest.approx(0.5)
        assert (prepared.source, prepared.brief.summary) == ("groq", "Wants a pension.")


async def test_on_handoff_a_model_that_fails_costs_the_brief(autojump_clock: MockClock) -> None:
    async with a_summarizer(BriefUnavailable("HTTP 500"), policy=ON_HANDOFF) as scene:
        prepared = await scene.ask()

        assert (prepared.source, prepared.why) == ("extract", "HTTP 500")


async def test_on_handoff_a_second_question_gets_what_was_written_and_what_was_said_since(
    autojump_clock: MockClock,
) -> None:
    async with a_summarizer(written("Wants a pension."), policy=ON_HANDOFF) as scene:
        await scene.ask()
        await scene.hear("Wait, one question.")
        prepared = await scene.ask()

        assert len(scene.model.asked) == 1
        assert [turn.text for turn in prepared.brief.recent] == ["Wait, one question."]


# Staying alive


@pytest.mark.parametrize("policy", [CallPolicy(), ON_HANDOFF], ids=["eager", "on_handoff"])
@pytest.mark.parametrize("closed", ["reader", "both"])
async def test_nobody_is_hurt_when_the_handoff_is_over_before_its_brief_is_written(
    policy: CallPolicy, closed: str, autojump_clock: MockClock
) -> None:
    async with a_summarizer(takes=1.0, policy=policy) as scene:
        send, receive = trio.open_memory_channel[PreparedBrief](1)
        scene.watched.state.conversation.add_caller("One.")
        await scene.address.send(WriteBrief("second"))
        await scene.address.send(WriteBrief("second", send))
        await trio.sleep(0.5)
        receive.close()
        if closed == "both":
            send.close()
        await trio.sleep(2)

        assert not scene.over.is_set()
        assert (await scene.ask()).source == "groq"


async def test_it_ends_when_nobody_can_write_to_it_any_more(autojump_clock: MockClock) -> None:
    async with a_summarizer(takes=100.0) as scene:
        await scene.hear("One.")
        scene.address.close()
        with trio.fail_after(1):
            await scene.over.wait()

        assert scene.model.running == 0


async def test_when_no_model_is_left_none_is_asked_again_in_this_call(autojump_clock: MockClock) -> None:
    async with a_summarizer(BriefUnavailable("HTTP 404 model_not_found", lasting=True)) as scene:
        for said in ("I want a pension.", "And soon.", "My name is Ada."):
            await scene.hear(said)
        prepared = await scene.ask()

        assert len(scene.model.asked) == 1
        assert [failed.why for failed in scene.watched.facts(SummaryFailed)] == ["HTTP 404 model_not_found"]
        assert (prepared.source, prepared.why) == ("extract", "HTTP 404 model_not_found")


async def test_what_passes_is_asked_again_after_the_next_turn(autojump_clock: MockClock) -> None:
    async with a_summarizer(BriefUnavailable("HTTP 503"), written("Wants a pension.")) as scene:
        await scene.hear("I want a pension.")
        await trio.sleep(GAP)
        await scene.hear("And soon.")

        assert (len(scene.model.asked), (await scene.ask()).source) == (2, "groq")
