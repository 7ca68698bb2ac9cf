"""A whole call between simulators, under the mock clock: what the caller said, what was done, what was heard."""

import gc
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.call_state import CallState
from actors.line.ledger import Ledger
from actors.line.tape import Tape
from actors.policy import CallPolicy
from actors.session.agent_session import AgentSession
from actors.session.function_runner import FunctionRunner
from actors.turn_driver import TurnDriver
from actors.twilio_bridge import TwilioBridge
from protocol.audio import BYTES_PER_SECOND
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import load_scenario
from simulators.twilio.log import LineSpoken
from testkit.harness import Played, play
from tests.examples import one_in

SALE = load_scenario("sale")
SAID = [line.says for line in SALE.caller.lines if line.says]
STAFF = ["qualifier", "advisor", "closer"]


def run(**options: object) -> Played:
    """Play a call on a clock of its own."""

    async def main() -> Played:
        with trio.fail_after(3600):
            return await play(**options)  # type: ignore[arg-type]

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def functions(played: Played) -> list[tuple[str, dict[str, object]]]:
    return [(function.name, dict(function.arguments)) for function in played.the_record.functions if function.ok]


def agents(played: Played) -> list[str]:
    return [period.agent for period in played.the_record.agents]


def told(played: Played) -> list[dict[str, object]]:
    """The journal, without what is drawn at random."""
    return [{key: value for key, value in entry.as_json().items() if key != "request_id"} for entry in played.entries]


@pytest.fixture(scope="module")
def sale() -> Played:
    return run(scenario="sale", bundle=1, knobs=DeepgramKnobs())


def test_every_brief_holds_what_the_outgoing_agent_said_when_it_handed_over(sale: Played) -> None:
    asked = [(fact.to, fact.reason, fact.notes) for fact in sale.facts(facts.HandoffAsked)]

    assert len(asked) == 2
    assert [(fact.reader, fact.brief["reason"], fact.brief["notes"]) for fact in sale.facts(facts.BriefReady)] == asked


def test_the_record_says_what_each_part_of_an_answer_took(sale: Played) -> None:
    answers = [turn for turn in sale.the_record.transcript if turn.latency is not None]
    measured = [turn for turn in answers if turn.llm and turn.tts]

    assert len(measured) > 5
    assert len(answers) - len(measured) == 2  # the greetings of those who were handed the call: no model wrote them


def test_three_agents_serve_the_caller_in_order_and_say_goodbye(sale: Played) -> None:
    assert sale.the_record.outcome == "completed"
    assert STAFF == agents(sale)
    assert [("hang_up", sale.the_record.call_sid)] == sale.line.asked


def test_every_word_of_the_caller_is_in_the_transcript(sale: Played) -> None:
    assert SAID == sale.said_by_caller()


def test_functions_are_called_with_what_the_caller_said(sale: Played) -> None:
    done = dict(functions(sale))

    assert done["schedule_followup"]["preferred_timeframe"] == "next Wednesday afternoon"
    assert done["record_satisfaction"] == {"rating": 5}
    assert done["end_conversation"] == {"reason": "task_complete"}


def test_no_frame_of_the_caller_is_unheard_and_none_of_the_agents_dropped(sale: Played) -> None:
    frames = sale.the_record.frames

    assert frames.unheard == 0
    assert frames.dropped == 0
    assert frames.agent_in == frames.agent_sent


def test_every_reply_was_heard_to_its_last_word(sale: Played) -> None:
    replies = sale.facts(facts.ReplyEnded)

    assert len(replies) >= 12
    assert [] == [reply for reply in replies if not reply.complete or reply.heard != reply.text]


def test_the_goodbye_is_heard_though_the_function_call_overtook_its_audio(sale: Played) -> None:
    (goodbye,) = sale.times(facts.GoodbyeHeard)
    last = sale.facts(facts.AgentSpoke)[-1]

    assert sale.times(facts.GoodbyeStarted)[0] < last.start
    played = goodbye - CallPolicy().deadlines.late_voice
    assert pytest.approx(played, abs=0.05) == last.end
    assert sale.summary is not None
    assert pytest.approx(played, abs=0.1) == sale.summary.played[-1][1]


def test_a_handoff_costs_what_connecting_and_greeting_cost_and_nothing_more(sale: Played) -> None:
    knobs = DeepgramKnobs()
    cost = knobs.welcome + knobs.settings_applied + knobs.greeting

    gaps = [fact.gap for fact in sale.facts(facts.HandoffGap)]

    assert pytest.approx([cost, cost], abs=0.05) == gaps


def test_the_caller_never_hears_two_agents_at_once(sale: Played) -> None:
    spoke = sorted((fact.start, fact.end) for fact in sale.facts(facts.AgentSpoke))

    assert [] == [later for (_, end), later in pairwise(spoke) if later[0] < end - 1e-3]


def test_what_the_ledger_believes_was_heard_is_what_the_caller_heard(sale: Played) -> None:
    assert sale.caller is not None
    believed = sum(fact.end - fact.start for fact in sale.facts(facts.AgentSpoke))
    heard = sum(end - start for start, end in sale.caller.played)

    assert pytest.approx(heard, abs=0.2) == believed
    assert len(sale.caller.heard.agents) / BYTES_PER_SECOND > heard


def test_each_brief_came_from_groq_and_knows_the_facts(sale: Played) -> None:
    assert ["groq", "groq"] == [handoff.brief_source for handoff in sale.the_record.handoffs]
    assert any("John" in turn.text for turn in sale.the_record.transcript if turn.speaker == "advisor")


def test_the_same_call_leaves_the_same_journal() -> None:
    assert told(run(scenario="busy_caller")) == told(run(scenario="busy_caller"))


@pytest.fixture
def _restored_scheduler() -> Iterator[None]:
    """Trio draws the order of ready tasks from a generator of its own; give it back as it was."""
    state = trio._core._run._r
    yield
    trio._core._run._r = state


@pytest.mark.usefixtures("_restored_scheduler")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_outcome_does_not_depend_on_the_order_in_which_ready_tasks_run(seed: int, sale: Played) -> None:
    trio._core._run._r = random.Random(seed)

    again = run(scenario="sale", bundle=1, knobs=DeepgramKnobs())

    assert again.the_record.outcome == "completed"
    assert functions(sale) == functions(again)
    assert [(turn.speaker, turn.text) for turn in sale.the_record.transcript] == [
        (turn.speaker, turn.text) for turn in again.the_record.transcript
    ]


@pytest.mark.slow
def test_a_call_of_more_than_three_minutes_completes() -> None:
    played = run(scenario="long_call")

    assert played.the_record.outcome == "completed"
    assert played.the_record.duration > 180
    assert STAFF == agents(played)
    assert played.the_record.frames.unheard == 0


@pytest.mark.slow
@pytest.mark.parametrize("faults", [["deepgram: drop after 8.6 s"], []])
def test_sockets_that_take_everything_at_once_carry_the_same_call(faults: list[str]) -> None:
    """The caller's audio goes straight from the tape to the wire then."""
    played, prompt = run(faults=faults, prompt=False), run(faults=faults)

    assert SAID == prompt.said_by_caller() == played.said_by_caller()
    assert prompt.the_record.outcome == "completed"
    one, other = prompt.the_record.frames, played.the_record.frames
    assert abs(one.caller_sent - other.caller_sent) <= CallPolicy().numbers.chunk_frames, (
        "the last chunk may meet the hang-up"
    )
    assert attrs.evolve(one, caller_sent=0) == attrs.evolve(other, caller_sent=0)
    assert one.unheard == 0


@pytest.mark.parametrize("after", one_in(5, [8.6, 0.05, 36.05, 3, 9.6]))
def test_no_word_is_missing_when_the_first_session_drops(after: float) -> None:
    played = run(scenario="sale", faults=[f"deepgram: drop after {after} s"])

    assert played.the_record.outcome == "completed"
    assert SAID == played.said_by_caller()
    assert played.the_record.restarts == 1
    assert STAFF == agents(played)


@pytest.mark.slow
@pytest.mark.parametrize("after", one_in(2, [8.6, 0.05]))
def test_reports_that_nobody_acts_on_may_be_as_odd_as_they_like(after: float) -> None:
    played = run(scenario="sale", faults=[f"deepgram: odd messages after {after} s"])

    assert (played.the_record.outcome, played.the_record.restarts) == ("completed", 0)
    assert SAID == played.said_by_caller()


@pytest.mark.slow
def test_a_groq_that_hangs_costs_the_summary_and_nothing_else() -> None:
    played = run(scenario="sale", faults=["groq: hang"])

    assert played.the_record.outcome == "completed"
    assert ["extract", "extract"] == [handoff.brief_source for handoff in played.the_record.handoffs]
    assert SAID == played.said_by_caller()


@pytest.mark.slow
def test_when_no_next_agent_can_be_reached_the_qualifier_keeps_the_floor_and_says_so() -> None:
    played = run(scenario="sale", faults=["deepgram: refuse connect 2"])

    assert ["qualifier"] == agents(played)
    refused = [function for function in played.the_record.functions if function.name == "handoff_to_next_agent"]
    assert refused
    assert not any(function.ok for function in refused)
    answer = next(turn for turn in played.the_record.transcript if turn.at > refused[0].at)
    assert answer.speaker == "qualifier"
    assert "sorry" in answer.heard.lower()


def test_when_no_agent_can_be_reached_at_all_the_caller_is_told_by_the_line() -> None:
    played = run(scenario="sale", faults=["deepgram: refuse connect 1"])

    assert played.the_record.outcome == "no_agent"
    ((asked, twiml),) = played.line.asked
    assert asked == "redirect"
    assert "<Say>" in twiml
    assert "<Hangup" in twiml


@pytest.mark.slow
def test_a_caller_who_barges_in_is_listened_to_and_hears_no_cancelled_word() -> None:
    played = run(scenario="barges_in", knobs=DeepgramKnobs(late_frames=5, late_sentence=True))

    cut = [reply for reply in played.facts(facts.ReplyEnded) if not reply.complete]
    assert played.facts(facts.BargeIn)
    assert cut
    assert all(reply.text.startswith(reply.heard) for reply in cut)
    assert [line.says for line in load_scenario("barges_in").caller.lines if line.says] == played.said_by_caller()


@pytest.mark.slow
def test_a_rating_of_nine_is_refused_and_the_agent_asks_again() -> None:
    played = run(scenario="rating_nine")

    ratings = [function for function in played.the_record.functions if function.name == "record_satisfaction"]
    assert [False, True] == [rating.ok for rating in ratings]
    assert ratings[-1].arguments["rating"] == 5


@pytest.mark.slow
def test_a_caller_who_hangs_up_in_the_handoff_leaves_nothing_behind() -> None:
    played = run(scenario="hangs_up_in_handoff")

    assert played.the_record.outcome == "caller_hung_up"
    assert played.facts(facts.HandoffAsked)
    assert not played.facts(facts.HandoffCommitted)


@pytest.mark.slow
def test_the_caller_is_heard_from_the_frame_at_which_the_handoff_was_asked_for() -> None:
    """Right after the yes the caller goes on talking, while the next agent is connected: no word is lost.

    caller   «Yes please that would be great»      «I live in Seattle»
    t0                                       |
    advisor                                  connecting ..... listening from t0
    """
    lines = list(SALE.caller.lines)
    yes = next(index for index, line in enumerate(lines) if line.says and line.says.startswith("Yes, please"))
    more = attrs.evolve(lines[yes], says="I should say that I have a brother in Boston.")
    caller = attrs.evolve(SALE.caller, lines=(*lines[: yes + 1], more, *lines[yes + 1 :]), patience=0.8)
    script = attrs.evolve(SALE, caller=caller)

    played = run(scenario=script, knobs=DeepgramKnobs(settings_applied=1.5, think=0.05, tts=0.05))

    assert played.caller is not None
    spoken = next(entry for entry in played.caller.log.of(LineSpoken) if entry.text == more.says)
    asked, committed = played.times(facts.HandoffAsked)[0], played.times(facts.HandoffCommitted)[0]
    assert asked < spoken.at - played.caller.log.entries[0].at < committed
    assert more.says in played.said_by_caller()


WAYS: Sequence[Mapping[str, object]] = [
    {"scenario": "hangs_up_in_handoff"},
    {"scenario": "sale"},
    {"scenario": "barges_in"},
    {"scenario": "wants_human"},
    *(
        {"faults": [f"deepgram: {fault}"]}
        for fault in ("drop after 8.6 s", "mute after 8 s", "refuse connect 1", "refuse connect 2")
    ),
    {"faults": ["groq: hang"]},
    {"faults": ["twilio: close without stop"]},
]


@pytest.mark.parametrize("options", one_in(len(WAYS), WAYS), ids=str)
def test_what_a_call_held_is_free_when_it_is_over(options: Mapping[str, object], tmp_path: Path) -> None:
    """A full collection, which alone frees what knows each other, stops every other call meanwhile."""
    gc.collect()
    gc.disable()
    try:
        before = held()
        run(**options, recordings=tmp_path)
        left = held() - before
    finally:
        gc.enable()

    assert left == {}


PARTS = (CallState, Ledger, Tape, TwilioBridge, TurnDriver, AgentSession, FunctionRunner)


def held() -> Counter[type]:
    return Counter(type(one) for one in gc.get_objects() if isinstance(one, PARTS))
