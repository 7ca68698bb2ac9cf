"""Whole calls on which one session becomes another agent's: beside the hard way, and with both in one call."""

from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.policy import CallPolicy
from protocol.deepgram import UpdateThink
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.log import ResponseIgnored, TurnAnswered
from simulators.scenario import Scenario
from testkit.cleared import words_are_in_their_voice
from testkit.harness import play
from testkit.oracle import check
from testkit.witness import Witnessed
from tests.faults.short import KNOBS as COARSE
from tests.faults.short import ROSTER, SHORT, SOFT, throw

KNOBS = DeepgramKnobs()


@cache
def finely(how: str, fault: str = "") -> Witnessed:
    """Play the short call as exactly as the simulators can: each 20 ms on its own, and the Brief is ready at t0."""
    done = Witnessed(script=SHORT, policy=CallPolicy(), bundle=1, slice_ms=20)
    faults, roster = [fault] if fault else [], SOFT if how == "soft" else ROSTER
    again = partial(play, SHORT, faults, roster=roster, knobs=KNOBS, bundle=1, played=done)
    trio.run(again, clock=MockClock(autojump_threshold=0))
    return done


def gap(played: Witnessed) -> float:
    (found,) = played.facts(facts.HandoffGap)
    return found.gap


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "fault", "costs"),
    [
        ("hard", "", KNOBS.welcome + KNOBS.settings_applied + KNOBS.greeting),
        ("soft", "", 2 * KNOBS.update_ack + KNOBS.tts),
        ("soft", "deepgram: no ack think", 1.0 + KNOBS.welcome + KNOBS.settings_applied + KNOBS.greeting),
    ],
)
def test_the_figures_of_the_page_are_measured(how: str, fault: str, costs: float) -> None:
    played = finely(how, fault)
    overlaps = [end - start for (_, end), (start, _) in pairwise(spoken(played)) if start < end - 1e-3]
    page = Path("docs/soft-handoff.md").read_text(encoding="utf-8")

    assert gap(played) == pytest.approx(costs, abs=0.03)
    assert f"| {gap(played) * 1000:.0f} ms | 0 | 0 ms | 0 |" in page
    assert (played.the_record.frames.unheard, overlaps, list(words_are_in_their_voice(played))) == (0, [], [])
    assert check(played) == []


def spoken(played: Witnessed) -> list[tuple[float, float]]:
    return sorted((fact.start, fact.end) for fact in played.facts(facts.AgentSpoke))


@pytest.mark.slow
def test_one_session_speaks_in_two_voices() -> None:
    played = finely("soft")
    (handoff,) = played.the_record.handoffs
    assert played.exchange is not None

    assert played.exchange.connections == 1
    assert (handoff.how, handoff.took, handoff.gap) == ("soft", 0.44, 0.54)
    assert [period.agent for period in played.the_record.agents] == ["first", "second"]
    assert {one.agent for one in played.exchange.log.of(TurnAnswered)} == {"first", "second"}
    assert {period: seconds > 5 for period, seconds in played.the_record.usage.agent_seconds.items()} == {
        "first": True,
        "second": True,
    }


def test_a_service_that_forgets_the_conversation_is_told_by_the_brief() -> None:
    played = throw(roster=SOFT, knobs=attrs.evolve(COARSE, think_keeps_history=False))
    assert played.exchange is not None
    (update,) = played.exchange.log.received(UpdateThink)

    assert check(played) == []
    assert [handoff.how for handoff in played.the_record.handoffs] == ["soft"]
    assert len(played.exchange.log.of(ResponseIgnored)) == 1
    assert "needs help" in str(update.think[0].prompt)


@pytest.mark.parametrize(
    ("words", "how"), [("A moment, please.", "soft"), ("Of course, I will put you through to my colleague.", "hard")]
)
def test_words_that_the_old_agent_says_with_the_function_are_heard_in_no_voice(words: str, how: str) -> None:
    """A sentence that the service has sent within a second is waited for."""
    played = throw(roster=SOFT, script=saying(words))

    assert check(played) == []
    assert [handoff.how for handoff in played.the_record.handoffs] == [how]
    assert words not in played.heard_of_agents()


def saying(words: str) -> Scenario:
    """Have the first agent say something in the turn in which it hands the caller on."""
    first = SHORT.agents["first"]
    turns = tuple(attrs.evolve(turn, says=(words,)) if turn.hears == "yes please" else turn for turn in first.turns)
    return attrs.evolve(SHORT, agents={**SHORT.agents, "first": attrs.evolve(first, turns=turns)})


# What the oracle must see


def test_the_oracle_hears_a_word_in_a_wrong_voice() -> None:
    played = throw(roster=SOFT)
    played.voices = {"first": played.voices["second"], "second": played.voices["first"]}

    assert any("which is another agent's voice" in broken for broken in check(played))


def test_the_oracle_hears_words_that_were_not_let_through() -> None:
    played = throw(roster=SOFT)
    played.entries = [entry for entry in played.entries if getattr(entry.fact, "text", "") != "Hello, what can I do?"]

    assert any("and was not let through" in broken for broken in words_are_in_their_voice(played))
