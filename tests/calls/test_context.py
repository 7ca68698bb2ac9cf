"""What a handler knows of its call, in a whole call; and what it has the agent say meanwhile."""

from collections.abc import Awaitable, Callable
from threading import get_ident
from time import sleep

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from agents.functions import (
    END_CONVERSATION,
    Answer,
    CallContext,
    FunctionFailed,
    FunctionSpec,
    Outcome,
    blocking,
    handoff_to_next_agent,
)
from agents.roster import Roster, load_roster
from agents.spec import AgentSpec
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import parse_scenario
from testkit.harness import OUTBOUND_CALL, Played, play
from tests.faults.short import BUNDLE, POLICY, SHORT, NoArguments

Handler = Callable[[NoArguments, CallContext], Awaitable[Outcome]]
LATER = "I'm still looking, it takes a moment longer."


def roster(handler: Handler) -> Roster:
    look_up = FunctionSpec("look_up", "Looks something up.", NoArguments, handler, deadline=30.0)
    first = (look_up, handoff_to_next_agent("second"), END_CONVERSATION)
    return load_roster(
        [
            AgentSpec("first", "first", "You are the first.", "Good morning.", "aura-2-mars-en", first, ("second",)),
            AgentSpec("second", "second", "You are the second.", "Hello.", "aura-2-thalia-en", (END_CONVERSATION,)),
        ]
    )


async def played_with(handler: Handler, **changes: object) -> Played:
    knobs = DeepgramKnobs(slice_ms=200)
    return await play(SHORT, roster=roster(handler), policy=POLICY, bundle=BUNDLE, knobs=knobs, **changes)  # type: ignore[arg-type]


async def test_a_handler_knows_its_call_and_uses_the_shared_client(autojump_clock: MockClock) -> None:
    seen: list[CallContext] = []

    async def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        seen.append(context)
        answer = await context.http.get(context.env["ACME_URL"])
        return Answer(answer.json())

    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=["sent"]))) as http:
        env = {"ACME_URL": "https://shop.test"}
        call = await played_with(
            look_up, env=env, http=http, plan=attrs.evolve(OUTBOUND_CALL, metadata={"order": "A-17"})
        )

    (context,) = seen
    record = call.the_record
    assert (context.call_sid, context.stream_sid, context.direction) == (call.call_sid, record.stream_sid, "outbound")
    assert (context.agent, context.metadata, record.metadata) == ("first", {"order": "A-17"}, {"order": "A-17"})
    assert [answered.result for answered in call.facts(facts.FunctionAnswered) if answered.name == "look_up"] == [
        '["sent"]'
    ]


WAITS = parse_scenario("""
[caller]
[[caller.line]]
says = "Where is my order?"
[[caller.line]]
says = "Thanks, that is all."
pause = 4.5
[agents.first]
[[agents.first.turn]]
hears = "order"
says = []
calls = [{ name = "look_up" }]
then = ["It is on its way."]
[[agents.first.turn]]
hears = "that is all"
says = ["Goodbye then."]
calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]
[agents.second]
""")
"""Somebody who is silent while a function is at work."""


async def test_a_handler_that_takes_long_has_its_own_words_said_meanwhile(autojump_clock: MockClock) -> None:
    async def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        await trio.sleep(3)
        context.say(LATER)
        await trio.sleep(6)
        return Answer({"found": True})

    call = await play(WAITS, roster=roster(look_up))

    heard = call.heard_of_agents()
    assert heard.index("One moment, please.") < heard.index(LATER) < heard.index("It is on its way.")
    assert call.the_record.outcome == "completed"


async def test_words_for_a_wait_that_is_over_are_not_said(autojump_clock: MockClock) -> None:
    async def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        context.say(LATER)
        await trio.sleep(1)
        return Answer({"found": True})

    call = await play(WAITS, roster=roster(look_up))

    assert "It is on its way." in call.heard_of_agents()
    assert LATER not in call.heard_of_agents()


async def test_what_is_said_after_the_answer_is_nobodys(autojump_clock: MockClock) -> None:
    kept: list[CallContext] = []

    async def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        kept.append(context)
        return Answer({"found": True})

    call = await played_with(look_up)
    kept[0].say(LATER)

    assert LATER not in call.heard_of_agents()


@pytest.mark.parametrize("sentence", ["", "  ", "…", "🙂", "x" * 501, None])
async def test_what_is_no_sentence_is_the_handlers_mistake(sentence: str, autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match=r"say\(\) wants a sentence"):
        CallContext("CA1", "first").say(sentence)


async def test_a_failure_in_the_handlers_own_words_is_told_to_the_model(autojump_clock: MockClock) -> None:
    async def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        raise FunctionFailed("The shop is closed for stocktaking.", "HTTP 418")

    call = await played_with(look_up)

    (answered,) = [one for one in call.facts(facts.FunctionAnswered) if one.name == "look_up"]
    assert not answered.ok
    assert answered.result == '{"error":"The shop is closed for stocktaking."} (HTTP 418)'


async def test_a_handler_in_a_thread_speaks_in_the_threads_of_trio() -> None:
    said: list[int] = []

    @blocking
    def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        context.say("One moment.")
        sleep(0)
        return Answer({"thread": get_ident()})

    outcome = await look_up(NoArguments(), CallContext("CA1", "first", say=lambda _: said.append(get_ident())))

    assert isinstance(outcome, Answer)
    assert said == [get_ident()]
    assert outcome.content != {"thread": get_ident()}


def test_a_context_without_a_client_says_how_to_give_it_one() -> None:
    with pytest.raises(RuntimeError, match="this context has no HTTP client"):
        assert CallContext("CA1", "first").http
