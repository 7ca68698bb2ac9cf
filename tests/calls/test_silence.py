"""Promise 4, from the caller's chair: whatever fails, nobody waits in silence for longer than the budget.

The waits are computed from what the simulated caller said and what really reached their ear, never from what the
switchboard believes. It is the agents' turn from the end of a line of the caller's until words that are more than a
filler have been heard, and from the first second of the call. Two callers: a hasty one answers every filler, a patient
one waits for the reply.
"""

from collections.abc import Iterator
from itertools import pairwise

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.line.ledger import SWITCHBOARD
from actors.policy import CallPolicy
from actors.turn_driver import Clips
from agents.roster import default_roster
from agents.sentences import ENGLISH
from simulators.scenario import Scenario, load_scenario
from simulators.speech import synthesise
from simulators.twilio.log import LineSpoken
from testkit.harness import Played, play
from tests.examples import one_in

POLICY = CallPolicy()
ROSTER = default_roster()
FILLER = ENGLISH.filler
TOLERANCE = 0.1
"""Seconds: the first audio of a filler that the agent is asked for, and whole frames."""
LONGEST_CALL = 400.0
CALLS: dict[tuple[int, str, bool], Played] = {}

HASTY = load_scenario("sale")
PATIENT = attrs.evolve(
    HASTY,
    caller=attrs.evolve(
        HASTY.caller,
        patience=60.0,
        lines=tuple(attrs.evolve(line, pause=2 * POLICY.deadlines.silence_budget) for line in HASTY.caller.lines),
    ),
)
CALLERS = {"hasty": HASTY, "patient": PATIENT}
SLOW_TO_SPEAK = ("deepgram: slow think 6 s", "deepgram: slow think 60 s")
FAULTS = (
    "deepgram: slow settings 60 s",
    "deepgram: mute after 8 s",
    "deepgram: stall after 8 s",
    *SLOW_TO_SPEAK,
    "deepgram: slow tts 6 s",
    "deepgram: refuse connect 1",
)


def clip_of(voice: str) -> bytes:
    return synthesise(FILLER, voice).audio


def clip_book() -> Clips:
    book = Clips()
    for agent in ROSTER.agents.values():
        book[agent.voice, ENGLISH.filler] = clip_of(agent.voice)
    return book


def call(script: Scenario, fault: str, clips: Clips | None = None) -> Played:
    """Play a call on a clock of its own; the same call is played once."""
    key = (id(script), fault, clips is None)
    if key not in CALLS:
        CALLS[key] = play_call(script, fault, clips)
    return CALLS[key]


def play_call(script: Scenario, fault: str, clips: Clips | None) -> Played:
    async def main() -> Played:
        with trio.fail_after(LONGEST_CALL):
            return await play(script, [fault], clips=clip_book() if clips is None else clips)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@attrs.frozen(order=True)
class Sound:
    """What was on the line, in seconds since the caller picked up: by the simulated telephone, not by the journal."""

    start: float
    end: float
    who: str
    """`caller`, `words` (an agent's), `filler` (an agent's or a clip), or `over`: the end of the call."""


def sounds(played: Played) -> list[Sound]:
    caller = played.caller
    assert caller is not None
    zero = caller.heard.started_at
    lines = [Sound(line.at - zero, line.until - zero, "caller") for line in caller.log.of(LineSpoken)]
    fillers = {reply.generation for reply in played.facts(facts.ReplyEnded) if reply.text in ENGLISH.fillers}
    filled = [(spoke.start, spoke.end) for spoke in played.facts(facts.AgentSpoke) if spoke.generation in fillers]
    heard = [piece for start, end in caller.played for piece in _cut(start, end, filled)]
    return sorted([*lines, *heard, *_end(played)])


def _cut(start: float, end: float, fillers: list[tuple[float, float]]) -> Iterator[Sound]:
    """Tell the fillers in one stretch of sound from the words around them: the journal says which they were."""
    at = start
    for filled_from, filled_to in sorted(fillers):
        begin, stop = max(filled_from, start), min(filled_to, end)
        if begin < stop - TOLERANCE:
            if begin > at + TOLERANCE:
                yield Sound(at, begin, "words")
            yield Sound(begin, stop, "filler")
            at = stop
    if end > at + TOLERANCE:
        yield Sound(at, end, "words")


def _end(played: Played) -> list[Sound]:
    assert played.summary is not None
    return [Sound(played.summary.duration, played.summary.duration, "over")]


def waits(played: Played) -> list[tuple[float, float, str]]:
    """List the silences on the agents' turn, and what ended each."""
    silences, quiet_since, owed = [], 0.0, True
    for sound in sounds(played):
        if owed and sound.start > quiet_since:
            silences.append((quiet_since, sound.start, sound.who))
        owed = sound.who in {"caller", "filler"}
        quiet_since = max(quiet_since, sound.end)
    return silences


@pytest.fixture(scope="module", params=one_in(2, list(CALLERS)))
def caller(request: pytest.FixtureRequest) -> Scenario:
    return CALLERS[request.param]


@pytest.fixture(scope="module", params=one_in(2, FAULTS))
def played(request: pytest.FixtureRequest, caller: Scenario) -> Played:
    return call(caller, request.param)


def test_no_silence_is_longer_than_the_budget(played: Played) -> None:
    assert waits(played)
    assert [] == [wait for wait in waits(played) if wait[1] - wait[0] > POLICY.deadlines.silence_budget + TOLERANCE]


def test_every_call_ends_in_words(played: Played) -> None:
    """The last that the caller hears is an agent's, or the line's own apology."""
    if played.the_record.outcome == "no_agent":
        assert ["redirect"] == [asked for asked, _ in played.line.asked]
        assert "<Say>" in played.line.asked[0][1]
    else:
        assert "words" == [sound.who for sound in sounds(played) if sound.who != "over"][-1]


def test_every_filler_is_in_the_voice_of_the_agent_whose_turn_it_is(played: Played) -> None:
    assert played.caller is not None
    heard, voices = bytes(played.caller.heard.agents), {name: agent.voice for name, agent in ROSTER.agents.items()}
    expected = dict.fromkeys(voices, 0)
    turn = ROSTER.first
    for entry in played.entries:
        match entry.fact:
            case facts.SessionConnecting(agent=agent) | facts.FloorTaken(agent=agent):
                turn = agent
            case facts.ReplyEnded(agent=agent, text=text, complete=True) if text == FILLER:
                expected[turn if agent == SWITCHBOARD else agent] += 1

    assert expected == {name: heard.count(clip_of(voice)) for name, voice in voices.items()}


@pytest.mark.parametrize("fault", SLOW_TO_SPEAK)
def test_where_a_session_is_alive_the_agent_itself_asks_for_a_moment(fault: str, caller: Scenario) -> None:
    met = call(caller, fault).facts(facts.SilenceMet)

    assert met
    assert {"agent"} == {silence.filled_by for silence in met}


@pytest.mark.parametrize("fault", ["deepgram: slow settings 60 s", "deepgram: mute after 8 s"])
def test_where_none_is_a_clip_does(fault: str, caller: Scenario) -> None:
    (first, *_) = call(caller, fault).facts(facts.SilenceMet)

    assert first.filled_by == "clip"
    assert pytest.approx(POLICY.deadlines.silence_budget, abs=TOLERANCE) == first.seconds


def test_without_clips_the_caller_is_told_by_the_line() -> None:
    played = call(HASTY, "deepgram: slow settings 60 s", {})

    assert {"nothing"} == {silence.filled_by for silence in played.facts(facts.SilenceMet)}
    assert played.the_record.outcome == "no_agent"
    assert "<Say>" in played.line.asked[0][1]


@pytest.mark.parametrize("fault", one_in(2, ["deepgram: mute after 8 s", "deepgram: stall after 8 s"]))
def test_a_session_that_has_died_is_replaced_and_the_sale_goes_on(fault: str) -> None:
    played = call(PATIENT, fault)

    assert played.facts(facts.SessionCrashed)
    assert ["qualifier", "advisor"] == [period.agent for period in played.the_record.agents][:2]


@pytest.mark.slow
@pytest.mark.parametrize("fault", one_in(2, ["deepgram: slow tts 6 s", "deepgram: slow think 6 s"]))
def test_a_slow_service_is_borne_with_to_the_end_of_the_sale(fault: str) -> None:
    played = call(PATIENT, fault)

    assert ("completed", 0) == (played.the_record.outcome, played.the_record.restarts)
    assert ["qualifier", "advisor", "closer"] == [period.agent for period in played.the_record.agents]


@pytest.mark.parametrize("fault", ["deepgram: slow tts 6 s", "deepgram: mute after 8 s"])
def test_one_moment_is_asked_for_once_in_a_silence_and_not_after_the_reply(fault: str) -> None:
    said = [sound.who for sound in sounds(call(PATIENT, fault))]

    assert "filler" in said
    assert [] == [pair for pair in pairwise(said) if pair in {("words", "filler"), ("filler", "caller")}]


@pytest.mark.slow
def test_a_model_that_never_answers_ends_in_the_apology() -> None:
    """Fillers, recovery, an apology: in this order, and after no more than the patience for each of the sessions."""
    played = call(PATIENT, "deepgram: slow think 60 s")

    turn = played.times(facts.TurnHeard)[0]
    assert played.the_record.outcome == "no_agent"
    assert played.times(facts.SilenceMet)[0] < played.times(facts.SessionRestarting)[0]
    sessions = 1 + POLICY.restarts.intensity
    assert played.the_record.duration - turn < sessions * (
        POLICY.deadlines.think_patience + POLICY.deadlines.silence_budget
    )
