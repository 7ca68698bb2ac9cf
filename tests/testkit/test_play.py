"""What `play` sees by itself, and what a test can expect of a played call."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from agents.extras import Extras
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome, blocking, transfer_to_human
from agents.roster import RosterError, default_roster, load_roster
from agents.sentences import Sentences
from agents.spec import AgentSpec, soft
from simulators.scenario import Scenario, ScenarioError, ScriptedCall, shipped_scenarios
from testkit import (
    CannotPlay,
    ExpectationFailed,
    PlannedCall,
    PlayedCall,
    PromiseBroken,
    answer,
    answers,
    calls,
    conversation,
    ends_call,
    fails,
    hangs_up,
    play,
    refuses,
    says,
)
from testkit.functions import Double, NoSuchFunction
from testkit.manners import agrees, is_filler
from testkit.play import roster_of
from testkit.replay import chosen_roster
from testkit.step_watch import LOOK_EVERY
from tests.examples import one_in
from tests.testkit import mistakes
from tests.testkit.mistakes import (
    BYE,
    GOOD,
    HANDS_ON,
    LOOKS,
    NO_CONSENT,
    NO_GOODBYE,
    ONLY_A_FILLER,
    PLEASE,
    TAKES_BACK,
    WHERE,
    Order,
    roster,
)  # fmt: skip


@pytest.mark.parametrize("scenario", one_in(4, [name for name in shipped_scenarios() if name != "long_call"]))
async def test_a_shipped_call_keeps_every_promise(autojump_clock: MockClock, scenario: str) -> None:
    call = await play(default_roster(human=True), scenario)

    assert [] == call.broken


@pytest.mark.parametrize("words", ["Thank you.", "On Tuesday at three in the afternoon please."])
async def test_a_caller_who_thanks_or_reads_back_over_a_reply_hears_it_out_and_is_in_the_record(
    autojump_clock: MockClock, words: str
) -> None:
    offer = "We can come on Tuesday at three in the afternoon, or on Wednesday at ten in the morning. Think about it."
    ends = answers("desk", "Goodbye.", calls=mistakes.ENDS)
    thanks = (says(words, barge_in=4.0), answers("desk", "See you on Tuesday."), says(BYE), ends)

    call = await play(roster(), conversation(says("When can you come?"), answers("desk", offer), *thanks))

    assert call.broken == []
    assert words in [turn.text for turn in call.the_record.transcript]


@pytest.mark.parametrize(
    ("handler", "scenario", "sentence"),
    [
        (
            mistakes.look_up,
            NO_CONSENT,
            r"consent: desk handed the call to returns at \d+\.\d\d s without .* 'No, I would",
        ),
        (mistakes.look_up, NO_GOODBYE, r"goodbye: desk ended the call at \d+\.\d\d s, and the caller heard no goodbye"),
        (mistakes.look_up, ONLY_A_FILLER, r"answer: the caller said 'Where is .*' at \d+\.\d\d s, and 'One moment"),
        (
            mistakes.look_up_and_block,
            GOOD,
            r"13: .* look_up blocked .* from \d+\.\d\d s of the call, in .*mistakes.py:",
        ),
        (mistakes.look_up_and_forget, GOOD, r"facts: returns .* at \d+\.\d\d s and was not told 'A-1744'"),
        (
            mistakes.look_up_and_block_below,
            GOOD,
            r"13: .* look_up blocked .* from \d+\.\d\d s of the call, in .*mistakes.py:",
        ),
        (
            mistakes.look_up_and_raise,
            GOOD,
            r"handler: .* look_up had a mistake at \d+\.\d\d s, in .*mistakes.py:\d+: .* KeyError",
        ),
        (mistakes.look_up_and_make_a_group, GOOD, r"handler: .* at \d+\.\d\d s: it raised KeyError: 'order'"),
        (
            mistakes.look_up_and_return_what_cannot_be_read,
            GOOD,
            r"handler: .* in .*mistakes.py:\d+: it raised LookupError: the rows are gone",
        ),
        (
            mistakes.look_up_and_say_no_words,
            GOOD,
            r"handler: .*mistakes.py:\d+: FunctionFailed has nothing to say: write a sentence",
        ),
        (
            mistakes.look_up_and_end_unasked,
            GOOD,
            r"handler: .* returned EndCall, .* write ends_call=True\n",
        ),
        (mistakes.look_up_and_hand_on_unasked, GOOD, r"handler: .* returned HandOff, .* write leads_to='returns'"),
        (
            mistakes.look_up_and_put_through_to_nowhere,
            GOOD,
            r"handler: .* number is 'extension 7', no phone number: write \+ and 7",
        ),
        (
            mistakes.look_up_behind_a_shield,
            GOOD,
            r"handler: .* look_up was abandoned, .* a shield a deadline",
        ),
        (
            mistakes.look_up_with_asyncio,
            GOOD,
            r"handler: .* in .*mistakes.py:\d+: it raised RuntimeError: no running event loop: the server runs on trio",
        ),
        (
            mistakes.look_up_with_a_step_of_asyncio,
            GOOD,
            r"handler: .* in .*mistakes.py:\d+: it raised TypeError: trio.run received unrecognized yield message",
        ),
        *(
            (handler, GOOD, r"handler: .* look_up had a mistake at .* it goes on although it was cancelled: let trio")
            for handler in (mistakes.look_up_and_catch_all, mistakes.look_up_and_catch_all_within_a_scope)
        ),
        (
            mistakes.look_up_and_say_nothing,
            GOOD,
            r"handler: .* look_up had a mistake at .* returned NoneType, which is no .*: return Answer\(…\)\n",
        ),
        (
            mistakes.look_up_and_hand_to_nobody,
            GOOD,
            r"handler: .* look_up had a mistake at .* handed the call to 'retours', which is no agent .* desk, returns",
        ),
        (
            mistakes.look_up_the_key,
            GOOD,
            r"secrets: look_up told the model the value of SHOP_API_KEY, called at \d+\.\d\d s",
        ),
        (
            mistakes.look_up,
            mistakes.NEVER_HANDS_ON,
            r"announced: desk said \"I'll put you through now.\" at \d+\.\d\d s, and had",
        ),
        (
            mistakes.look_up,
            mistakes.NEVER_ENDS,
            r"announced: desk said 'Thank you. Goodbye.' .* had called no end_conv",
        ),
        (mistakes.look_up, mistakes.ANOTHER_NAME, r"names: desk called the caller 'Peter' at \d+\.\d\d s, a name"),
    ],
    ids=[
        *("handoff without consent", "goodbye cut", "filler only", "blocking handler", "fact lost", "blocking below"),
        *(
            "handler raises",
            "handler raises a group",
            "handler returns what cannot be read",
            "handler fails without words",
            "ends undeclared",
            "hands on undeclared",
            "puts through to nowhere",
            "handler behind a shield",
            "handler of asyncio",
            "handler of a step of asyncio",
            "handler that catches all",
            "handler that catches all within a scope",
            "handler returns nothing",
            "to nobody",
            "secret",
            "never hands on",
            "never ends",
            "another name",
        ),
    ],
)
async def test_a_planted_mistake_is_told_with_its_time(
    autojump_clock: MockClock, handler: Double, scenario: Scenario, sentence: str
) -> None:
    with pytest.raises(PromiseBroken, match=sentence):
        await play(roster(handler), scenario, env={"SHOP_API_KEY": "k-0123-abcd"})


async def test_a_goodbye_may_be_done_by_a_function_of_ones_own(autojump_clock: MockClock) -> None:
    """It need not be the one that has the phrase."""
    hang_up = FunctionSpec("hang_up", "Ends the call.", Order, ends_call(), ends_call=True)
    agents = load_roster([attrs.evolve(roster().agents["returns"], functions=(hang_up, END_CONVERSATION))])
    scenario = conversation(says("Hello."), answers("returns", "Thank you. Goodbye.", calls=calls("hang_up")))

    call = await play(agents, scenario)

    call.expect_outcome("completed").expect_called("hang_up", times=1)


async def test_what_a_caller_corrects_is_no_fact_that_is_lost(autojump_clock: MockClock) -> None:
    again = answers("desk", calls=calls("look_up", number="B-1800"), then="That one is here. Shall I pass you on?")
    scenario = conversation(
        *(
            says(WHERE),
            LOOKS,
            says("Sorry, I meant another one."),
            again,
            says(PLEASE),
            answers("desk", calls=HANDS_ON),
        ),
        *TAKES_BACK,
    )

    call = await play(roster(), scenario)

    call.expect_brief("returns", order="B-1800")


async def test_the_same_roster_without_the_mistakes_breaks_nothing(autojump_clock: MockClock) -> None:
    call = await play(roster(), GOOD)

    (
        call.expect_agents("desk", "returns")
        .expect_handoff("returns", after_turn=2, before_turn=3, how="hard")
        .expect_called("look_up", number="A-1744")
        .expect_called("look_up", times=1)
        .expect_called("look_up", times=0, number="B-2")
        .expect_heard("it is on its way", by="desk")
        .expect_not_heard("nobody is free")
        .expect_not_heard("Where is my order?")
        .expect_said("yes please")
        .expect_outcome("completed")
        .expect_restarts(0)
        .expect_brief("returns", order="A-1744", reason="wants to send it back")
    )
    assert 0.2 < call.gap("returns") < 1.5
    assert 0.5 < call.longest_silence < 2.0


async def test_an_expectation_that_fails_shows_the_transcript_and_points_at_the_place(
    autojump_clock: MockClock,
) -> None:
    call = await play(roster(), GOOD)

    failing: list[tuple[Callable[[], PlayedCall], str]] = [
        (lambda: call.expect_handoff("returns", before_turn=2), "hands the call to returns"),
        (call.expect_no_handoff, "hands the call to returns"),
        (lambda: call.expect_called("look_up", number="7"), "calls look_up"),
        (lambda: call.expect_called("look_up", times=0), "calls look_up"),
        (lambda: call.expect_not_heard("on its way"), "It is on its way"),
        (lambda: call.expect_outcome("no_agent"), "over: completed"),
    ]
    for expect, place in failing:
        with pytest.raises(ExpectationFailed) as failed:
            expect()
        (marked,) = [line for line in str(failed.value).splitlines() if line.startswith(">>")]
        assert place in marked, failed.value


@pytest.fixture(scope="module")
def good() -> PlayedCall:
    return trio.run(play, roster(), GOOD, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    "expectation",
    [
        lambda call: call.expect_agents("desk"),
        lambda call: call.expect_agents("desk", "returns", "desk"),
        lambda call: call.expect_handoff("desk"),
        lambda call: call.expect_handoff("returns", after_turn=3),
        lambda call: call.expect_handoff("returns", how="soft"),
        lambda call: call.expect_called("nothing"),
        lambda call: call.expect_called("look_up", times=2),
        lambda call: call.expect_heard("on its way", by="returns"),
        lambda call: call.expect_not_heard("IT IS, on its way!"),
        lambda call: call.expect_said("no"),
        lambda call: call.expect_restarts(1),
        lambda call: call.expect_brief("returns", order="B-2"),
        lambda call: call.expect_brief("desk", order="A-1744"),
        lambda call: call.gap("desk"),
    ],
)
def test_every_expectation_can_fail(good: PlayedCall, expectation: object) -> None:
    assert callable(expectation)
    with pytest.raises(ExpectationFailed, match="over: completed"):
        expectation(good)


@pytest.mark.parametrize(
    ("expectation", "told"),
    [
        (lambda call: call.expect_called("look_upp", times=0), "no function 'look_upp'; did you mean 'look_up'?"),
        (
            lambda call: call.expect_no_handoff("return"),
            "no agent 'return'; did you mean 'returns'?",
        ),
        (lambda call: call.expect_handoff("return"), "no agent 'return'; did you mean 'returns'?"),
        (lambda call: call.expect_agents("desk", "return"), "no agent 'return'; did you mean 'returns'?"),
        (lambda call: call.expect_heard("on its way", by="dask"), "no agent 'dask'; did you mean 'desk'?"),
        (lambda call: call.expect_brief("return", order="A-1744"), "no agent 'return'; did you mean 'returns'?"),
    ],
)
def test_a_misspelt_name_is_told_and_never_expected_in_vain(good: PlayedCall, expectation: object, told: str) -> None:
    assert callable(expectation)
    with pytest.raises(ExpectationFailed) as failed:
        expectation(good)

    assert f"the roster has {told}" in str(failed.value)


def test_a_call_that_is_printed_is_its_transcript(good: PlayedCall) -> None:
    assert str(good) == str(good.transcript) == good.transcript.text()


async def test_a_broken_rule_of_english_words_says_how_it_is_left_out(autojump_clock: MockClock) -> None:
    with pytest.raises(PromiseBroken, match=r"consent: (?s:.*)leave one out: play\(…, excused={'consent': 'why'}\)"):
        await play(roster(), NO_CONSENT)
    with pytest.raises(PromiseBroken) as broken:
        await play(roster(mistakes.look_up_and_raise), GOOD)

    assert "excused" not in str(broken.value)


async def test_a_call_that_ends_otherwise_than_its_scenario_says_how_to_say_so(autojump_clock: MockClock) -> None:
    silent = conversation(says("Hello?"), answers("desk", "Hello, what is it about?"))

    with pytest.raises(PromiseBroken, match=r"script: (?s:.*)ends='caller_silent'\)(?s:.*)excused={'script': 'why'}\)"):
        await play(roster(), silent)
    call = await play(roster(), attrs.evolve(silent, ends="caller_silent"))

    assert call.outcome == "caller_silent"


async def test_an_agent_that_takes_a_session_over_has_heard_what_its_functions_were_given(
    autojump_clock: MockClock,
) -> None:
    call = await play(roster(mistakes.look_up_and_forget, soft("returns")), GOOD)
    with pytest.raises(PromiseBroken, match=r"was not told 'A-1744'(?s:.*)play\(…, excused={'facts': 'why'}\)"):
        await play(roster(mistakes.look_up_and_forget), GOOD)

    call.expect_handoff("returns", how="soft")


async def test_agents_of_one_prompt_cannot_be_told_apart_on_one_session(autojump_clock: MockClock) -> None:
    """Else the simulated service answers as the wrong one, and the test fails for its words."""
    softly, hard = roster(edge=soft("returns")), roster()
    same = {name: attrs.evolve(agent, prompt="You help.") for name, agent in softly.agents.items()}
    plain = {name: attrs.evolve(agent, prompt="You help.") for name, agent in hard.agents.items()}

    with pytest.raises(CannotPlay, match=r"'returns' takes over softly and .* prompt of 'desk'.*prompt_contains"):
        await play(attrs.evolve(softly, agents=same), GOOD)
    await play(attrs.evolve(hard, agents=plain), GOOD)


async def test_a_double_takes_the_place_of_a_handler_by_name(autojump_clock: MockClock) -> None:
    functions = {"look_up": answer({"state": "lost"}, {"order": "A-1744"}, after=0.2)}

    call = await play(roster(fails(AssertionError("the real one"))), GOOD, functions=functions)

    assert call.calls[0].result == '{"state":"lost"}'


async def test_a_double_for_a_function_that_there_is_not_is_refused(autojump_clock: MockClock) -> None:
    with pytest.raises(NoSuchFunction, match=r"'look_uo'; did you mean 'look_up'.; there are .*desk\.look_up"):
        await play(roster(), GOOD, functions={"look_uo": answer("")})


@pytest.mark.parametrize("double", [{"state": "sent"}, "sent", lambda _arguments, _context: Answer("sent"), None])
async def test_a_double_that_cannot_be_awaited_is_refused(double: object, autojump_clock: MockClock) -> None:
    """Of a function, only what it returns tells."""
    with pytest.raises(
        (NoSuchFunction, PromiseBroken), match=r"look_up.*which cannot be awaited: write answer\(\{…\}\)"
    ):
        await play(roster(), GOOD, functions={"look_up": cast("Double", double)})


async def test_any_function_that_returns_an_awaitable_is_a_double(autojump_clock: MockClock) -> None:
    functions: dict[str, Double] = {
        "look_up": lambda order, context: answer({"of": order.number}, {"order": "A-1744"})(order, context)
    }
    call = await play(roster(), GOOD, functions=functions)

    assert call.calls[0].result == '{"of":"A-1744"}'


async def test_a_handler_sees_the_order_of_the_call_and_its_parties(autojump_clock: MockClock) -> None:
    """What an order says and which number is called decide who begins, as on the server."""
    seen: list[CallContext] = []

    async def look_up(arguments: Order, context: CallContext) -> Outcome:
        seen.append(context)
        return Answer({"state": "here"}, {"order": arguments.number})

    inbound = Extras(inbound={"+15550001111": "returns"})
    agents = attrs.evolve(roster(look_up), extras=inbound)
    bye = conversation(
        says("Hello."), answers("returns", "Goodbye.", calls=calls("end_conversation", reason="task_complete"))
    )

    await play(agents, GOOD, metadata={"crm": [17]}, env={"SHOP_URL": "https://shop.test"})
    by_number = await play(agents, bye, direction="inbound", line="+15550001111")
    by_order = await PlannedCall(agents, bye, agents="returns").play()

    context = seen[0]
    assert (context.caller, context.line) == ("+15551230000", "+15550009999")
    assert (context.metadata, context.env) == ({"crm": [17]}, {"SHOP_URL": "https://shop.test"})
    assert (by_number.agents, by_number.the_record.line, by_order.agents) == (["returns"], "+15550001111", ["returns"])


def test_several_rosters_are_named_as_in_agents(tmp_path: Path) -> None:
    file = tmp_path / "night_desk.py"
    file.write_text("from tests.testkit.mistakes import roster\nAGENT = roster().agents['returns']\n")

    assert roster_of(f"agents, {file}").entries == {"agents": "qualifier", str(file): "returns"}


async def test_a_caller_who_wants_a_person_is_put_through(autojump_clock: MockClock) -> None:
    functions = (transfer_to_human(), END_CONVERSATION)
    desk = AgentSpec("desk", "desk", "You help.", "Hello.", "aura-2-luna-en", functions)
    asks = conversation(
        says("I want a person."),
        answers("desk", "I'll put you through.", calls=calls("transfer_to_human", reason="wants a person")),
    )
    call = await play([desk], asks)

    call.expect_outcome("transferring")
    assert call.line.asked == [("put_through", "")]
    assert "put through to a person" in str(call)


def test_replays_and_probes_have_a_person_where_the_server_has(tmp_path: Path) -> None:
    file = tmp_path / "with_person.py"
    made = "AgentSpec('desk', 'desk', 'You help.', 'Hello.', 'aura-2-luna-en', (transfer_to_human(), END_CONVERSATION))"
    file.write_text(
        "from agents.functions import END_CONVERSATION, transfer_to_human\n"
        f"from agents.spec import AgentSpec\nAGENT = {made}\n"
    )

    for number in ("TRANSFER_PHONE_NUMBER", "FALLBACK_PHONE_NUMBER"):
        assert chosen_roster({"AGENTS": str(file), number: "+15557650000"}).first == "desk"
    with pytest.raises(RosterError, match="set TRANSFER_PHONE_NUMBER"):
        chosen_roster({"AGENTS": str(file)})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"agents": "retruns"}, "agents=….: there is no 'retruns'; there are desk, returns"),
        ({"direction": "in"}, "direction=….: there is no 'in'; there are inbound, outbound"),
        ({"excused": ["consent"]}, "excused=….: 'consent' has no reason; write excused={'consent': 'why'}"),
        ({"excused": {"consent": ""}}, "excused=….: 'consent' has no reason; write excused={'consent': 'why'}"),
        ({"excused": {"concent": "it hands on"}}, "excused=….: there is no 'concent'; there are .*, answer, consent"),
    ],
)
async def test_a_name_that_there_is_not_is_refused(autojump_clock: MockClock, given: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(CannotPlay, match=told):
        await play(roster(), GOOD, **given)


@pytest.mark.parametrize("double", [refuses("the number has six digits"), fails(httpx.ConnectError("no route"))])
async def test_a_double_that_fails_is_told_to_the_model(autojump_clock: MockClock, double: Double) -> None:
    call = await play(roster(), GOOD, functions={"desk.look_up": double}, excused={"answer": "no words for it"})

    assert call.calls[0].ok is False


async def test_a_double_that_refuses_tells_the_model_each_problem(autojump_clock: MockClock) -> None:
    double = refuses("The number has six digits.", "It begins with A.")

    call = await play(roster(), GOOD, functions={"look_up": double}, excused={"answer": "no words for it"})

    assert call.calls[0].result == '{"error":"The number has six digits. It begins with A."}'


ENDS_EARLY = (says(WHERE), answers("desk", "It is sent. Goodbye.", calls=mistakes.ENDS), says(PLEASE))


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            conversation(*ENDS_EARLY),
            r"script: the call was over at \d+\.\d\d s, before the caller could say 'Yes please",
        ),
        (
            conversation(says(BYE), answers("desk", "Goodbye.", calls=mistakes.ENDS), ends="caller_silent"),
            r"script: the call ended as completed, and its scenario as caller_silent",
        ),
        (
            conversation(says(WHERE), answers("desk", "It is sent."), hangs_up=True, ends="completed"),
            "",
        ),
    ],
)
async def test_a_call_that_is_not_as_its_scenario_says_is_no_success(
    autojump_clock: MockClock, script: Scenario, sentence: str
) -> None:
    """An agent that hangs up on everybody would pass each test that only hears its words."""
    if not sentence:
        await play(roster(), script)
        return
    with pytest.raises(PromiseBroken, match=sentence):
        await play(roster(), script)
    await play(roster(), script, excused={"script": "it is meant to"})
    await play(roster(), script, ["line: noise 60 dB"])


@pytest.mark.parametrize("odd", [calls("look_up", number=True), calls("look_up", number=["A-1744"])])
async def test_a_call_whose_arguments_were_refused_was_no_call(autojump_clock: MockClock, odd: ScriptedCall) -> None:
    """The script has the model call it: that says nothing of the agent. What counts is that the handler was run."""
    refused = answers("desk", "Let me look.", calls=odd, on_error="I can't find it. Shall I pass you on?")
    script = conversation(says(WHERE), refused, says(PLEASE), answers("desk", calls=HANDS_ON), *mistakes.TAKES_BACK)

    call = await play(roster(), script)

    call.expect_called("look_up", times=0)
    assert [each.read is None for each in call.calls if each.name == "look_up"] == [True]
    for times, number in ((None, {}), (1, {}), (None, odd.arguments)):
        with pytest.raises(ExpectationFailed, match=r"it was called at .*, but not run: .*`number` "):
            call.expect_called("look_up", times=times, **cast("Any", number))


async def test_a_call_that_was_refused_and_then_mended_was_one(autojump_clock: MockClock) -> None:
    mended = (says("I mean A one seven."), LOOKS)
    odd = calls("look_up", number=1744)
    refused = answers("desk", "Let me look.", calls=odd, on_error="Which number was it?")
    ends = (says(PLEASE), answers("desk", calls=HANDS_ON), *mistakes.TAKES_BACK)

    call = await play(roster(), conversation(says(WHERE), refused, *mended, *ends))

    call.expect_called("look_up", times=1).expect_called("look_up", times=1, number="A-1744")


@attrs.frozen
class Noted:
    number: str
    key: str = attrs.field(factory=lambda: uuid4().hex)


async def test_an_argument_that_is_left_out_may_be_another_each_time(autojump_clock: MockClock) -> None:
    def noting(function: FunctionSpec) -> FunctionSpec:
        return attrs.evolve(function, arguments=Noted) if function.name == "look_up" else function

    agents = [attrs.evolve(one, functions=tuple(map(noting, one.functions))) for one in roster().agents.values()]

    call = await play(agents, GOOD, functions={"look_up": answer({})}, excused={"facts": "a double has none"})

    call.expect_called("look_up", times=1, number="A-1744")


async def test_a_call_that_the_service_cancels_is_in_the_transcript(autojump_clock: MockClock) -> None:
    """The caller speaks on while the handler is at work, and its answer is wanted no more."""
    speaks_on = (says("No, leave it.", pause=0.3), answers("desk", "Fine. Shall I pass you on?"))
    ends = (says(PLEASE), answers("desk", calls=HANDS_ON), *mistakes.TAKES_BACK)
    script = conversation(says(WHERE), LOOKS, *speaks_on, *ends)

    call = await play(roster(), script, functions={"look_up": answer({}, after=5.0)}, excused={"answer": "they go on"})

    assert "[look_up is cancelled: the caller speaks on]" in str(call)


async def test_the_fillers_of_an_agent_may_be_a_list(autojump_clock: MockClock) -> None:
    fillers = cast("tuple[str, ...]", ["Let me look."])
    agents = [attrs.evolve(agent, sentences=Sentences(fillers=fillers)) for agent in roster().agents.values()]

    await play(agents, GOOD)


async def test_a_handler_in_a_thread_is_waited_for(autojump_clock: MockClock) -> None:
    """The mock clock does not know of threads: it would jump to the function's deadline at once."""

    @blocking
    def look_up(arguments: Order, context: CallContext) -> Outcome:
        sum(range(3_000_000))
        return Answer({"state": "here"}, {"order": arguments.number})

    call = await play(roster(look_up), GOOD)

    assert call.calls[0].ok


async def test_a_thread_that_starts_slowly_blocks_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a busy machine, where it works already while the loop waits for its turn."""
    start = trio.lowlevel.start_thread_soon

    def start_slowly(work: Callable[[], Any], deliver: Callable[[Any], object], name: str | None = None) -> None:
        start(work, deliver, name)
        time.sleep(4 * LOOK_EVERY)

    @blocking
    def look_up(arguments: Order, context: CallContext) -> Outcome:
        return Answer({"state": "here"}, {"order": arguments.number})

    monkeypatch.setattr("trio._threads.start_thread_soon", start_slowly)
    monkeypatch.setattr("testkit.step_watch._LIBRARIES", ("site-packages", Path(__file__).name))  # it stands for trio's
    call = await play(roster(look_up), GOOD)

    assert call.calls[0].ok


async def test_a_handler_that_never_waits_is_cancelled_as_any_other(autojump_clock: MockClock) -> None:
    """The mock clock moves while all tasks wait, and this one does not."""

    async def look_up(arguments: Order, context: CallContext) -> Outcome:
        while True:
            await trio.lowlevel.checkpoint()

    call = await play(roster(look_up), GOOD, excused={"answer": "it never comes"})

    assert not call.calls[0].ok
    call.expect_outcome("completed")


async def test_a_fault_is_survived_and_a_word_not_lost(autojump_clock: MockClock) -> None:
    call = await play(roster(), GOOD, ["deepgram: drop after 4 s"])

    call.expect_restarts(1).expect_called("look_up", times=1).expect_said("Where is my order A one seven?")


async def test_play_on_the_real_clock_is_refused() -> None:
    with pytest.raises(CannotPlay, match="mock clock"):
        await play(roster(), GOOD)


def test_play_in_another_loop_is_refused_with_what_to_change() -> None:
    """As by pytest-asyncio, whose `asyncio_mode = auto` takes every async test."""
    playing = play(roster(), GOOD)

    with pytest.raises(CannotPlay, match="runs in trio: leave the test without a mark of asyncio or anyio, in their"):
        playing.send(None)


async def test_what_a_call_cannot_keep_is_excused_with_a_reason(autojump_clock: MockClock) -> None:
    call = await play(roster(), NO_CONSENT, excused={"consent": "the desk hands every caller on"})

    call.expect_handoff("returns")


async def test_a_caller_who_hangs_up_ends_the_call(autojump_clock: MockClock) -> None:
    scenario = conversation(says("Hello."), answers("desk", "How can I help you today?"), hangs_up(after=2.0))

    call = await play(roster(), scenario)

    call.expect_outcome("caller_hung_up").expect_no_handoff()


@pytest.mark.parametrize("text", ["", "...", "👍"])
def test_a_line_of_the_callers_has_words(text: str) -> None:
    with pytest.raises(ScenarioError, match="nobody can speak that"):
        says(text)


def test_an_answer_to_nothing_is_refused() -> None:
    with pytest.raises(ScenarioError, match="the caller has said nothing"):
        conversation(answers("desk", "Hello?"))
    with pytest.raises(ScenarioError, match="says nothing and calls nothing"):
        answers("desk")


@pytest.mark.parametrize(
    ("said", "is_consent"),
    [
        ("Yes, please.", True),
        ("Sure, why not.", True),
        ("Hold on. Actually, could I talk to the advisor now after all?", True),
        ("Can you put me through to billing?", True),
        ("Yes, a proper consultation sounds sensible.", True),
        ("No, not today. I would rather have a call back.", False),
        ("No, please don't.", False),
        ("I'd rather not.", False),
        ("I do not want to be transferred.", False),
        ("My name is Ann.", False),
        ("What is that?", False),
        ("No, nothing else. Yes, put me through.", True),
        ("Yes, but not now.", False),
        ("Actually, no.", False),
        ("No, actually, yes.", True),
        ("Mm-hmm.", True),
        ("Go on then.", True),
    ],
)
def test_words_agree_to_a_handoff_or_do_not(said: str, is_consent: bool) -> None:
    assert is_consent is agrees(said)


@pytest.mark.parametrize(
    ("reply", "is_it"),
    [
        ("One moment, please.", True),
        ("Let me check that for you.", True),
        ("Sure, just a second.", True),
        ("Okay, bear with me. I'm checking.", True),
        ("I'm looking into it.", True),
        ("One moment while I look that up.", True),
        ("I'll be right back.", True),
        ("Let me get your name.", False),
        ("Let me find that for you. It is in Leeds.", False),
        ("One moment, it is on its way.", False),
        ("Thank you, John.", False),
        ("We open at nine.", False),
    ],
)
def test_a_reply_that_only_asks_to_wait_is_a_filler(reply: str, is_it: bool) -> None:
    assert is_it is is_filler(reply)


async def test_time_in_a_call_is_the_mock_clocks(autojump_clock: MockClock) -> None:
    began = trio.current_time()

    call = await play(roster(), GOOD)

    assert call.the_record.duration == pytest.approx(trio.current_time() - began, abs=3.0)
