"""A recorded call, played again."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock
from typer.testing import CliRunner

from actors.call_services import CallPlan
from actors.policy import CallPolicy
from agents.extras import Extras
from agents.roster import Roster, default_roster, load_roster
from agents.spec import soft
from cli import commands
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import Scenario, shipped_scenarios
from testkit import answers, conversation, harness, presses, says
from testkit.play import filler_clips
from testkit.rebuild import rebuild
from testkit.recorded_faults import recorded_faults
from testkit.recording import ReplayRefused, anonymise, read_journal
from testkit.replay import Replayed, compare, replay
from testkit.witness import is_of_keypad, keys_in
from tests.testkit.mistakes import ENDS, GOOD, roster
from tests.testkit.test_survey import GOODBYE, ON, ROSTER, SCORE, SURVEY

FAULTS = (
    "",
    "deepgram: drop after 8 s",
    "deepgram: error INTERNAL_SERVER_ERROR after 6 s",
    "deepgram: garbage after 12 s",
    "deepgram: close 1011 after 15 s",
    "deepgram: refuse connect 2 times 1",
    "deepgram: slow settings 2 s on connection 2",
    "deepgram: slow think 2 s",
    "groq: hang",
    "deepgram: mute after 8 s",
    "deepgram: mute after 20 s",
)
LINE = '{"seq":0,"at":0.0,"event":"call_started","call_sid":"CA1","stream_sid":"MZ1","direction":"inbound"}'
END = '{"seq":9,"at":3.0,"event":"call_ended","outcome":"completed","duration":3.0,"frames":{}}'


def whole(**entry: object) -> str:
    """Write a journal with one entry between the first and the last."""
    return f"{LINE}\n{orjson.dumps({'seq': 1, 'at': 1.5, **entry}).decode()}\n{END}"


async def record(
    scenario: str | Scenario,
    fault: str = "",
    agents: Roster | None = None,
    policy: CallPolicy | None = None,
    plan: CallPlan | None = None,
    *,
    reports: float = 0,
) -> str:
    """Play a call as a server records it, frame by frame, and return its journal."""
    agents, policy = agents or default_roster(), policy or CallPolicy()
    played = await harness.play(
        scenario,
        [fault] if fault else [],
        plan=plan or CallPlan("", "", "outbound"),
        roster=agents,
        policy=policy,
        bundle=1,
        knobs=DeepgramKnobs(slice_ms=160, stt_reports_per_second=reports),
        clips=filler_clips(agents),
    )
    return "\n".join(orjson.dumps(entry.as_json()).decode() for entry in played.entries)


@pytest.fixture(scope="module", name="journal")
def _journal() -> str:
    return trio.run(record, "busy_caller", clock=MockClock(autojump_threshold=0))


CALLS = [(name, fault) for name in shipped_scenarios() if name != "long_call" for fault in FAULTS]


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "fault"), CALLS)
def test_a_shipped_call_plays_the_same_again(scenario: str, fault: str) -> None:
    async def again() -> Replayed:
        return await replay(read_journal(await record(scenario, fault)), default_roster())

    replayed = trio.run(again, clock=MockClock(autojump_threshold=0))

    assert () == replayed.differences


@pytest.mark.parametrize("fault", ["deepgram: mute after 8 s", "deepgram: mute after 20 s"])
async def test_a_call_of_a_service_that_reports_how_it_hears_plays_the_same_again(
    fault: str, autojump_clock: MockClock
) -> None:
    replayed = await replay(read_journal(await record("sale", fault, reports=4)), default_roster())

    assert () == replayed.differences


@pytest.mark.slow
def test_a_call_plays_the_same_again(journal: str) -> None:
    replayed = trio.run(partial(replay, read_journal(journal), default_roster()), clock=MockClock(autojump_threshold=0))

    assert () == replayed.differences


async def test_a_soft_handoff_plays_the_same_again(autojump_clock: MockClock) -> None:
    """The agent that takes the session over never connects one."""
    agents = roster(edge=soft("returns"))

    replayed = await replay(read_journal(await record(GOOD, agents=agents)), agents)

    assert () == replayed.differences
    assert ["desk", "returns"] == list(replayed.rebuilt.scenario.agents)


@pytest.mark.parametrize("keeps", [False, True])
async def test_keys_are_pressed_again_and_are_no_words(autojump_clock: MockClock, keeps: bool) -> None:
    agents = load_roster(ROSTER)
    journal = await record(SURVEY, agents=agents, policy=CallPolicy(keep_digits=keeps))

    replayed = await replay(read_journal(journal), agents)

    pressed = [line.digits for line in replayed.rebuilt.scenario.caller.lines if line.digits]
    assert () == replayed.differences
    assert pressed == (["1", "3", "#"] if keeps else ["0", "0", "#"])


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("keys", ["3#1#", "12#3", "3#", "1#2#13#"])
async def test_several_entries_in_a_row_are_told_as_several(autojump_clock: MockClock, keys: str, keeps: bool) -> None:
    """How many keys were pressed does not say in how many entries: the agents hear of each."""
    agents = load_roster(ROSTER)
    call = conversation(
        presses("1"),
        answers("opener", calls=ON),
        presses(keys),
        answers("asker", "Thank you. Shall we leave it at that?", calls=SCORE),
        says("Yes."),
        answers("asker", calls=ON),
        *GOODBYE,
    )

    replayed = await replay(
        read_journal(await record(call, agents=agents, policy=CallPolicy(keep_digits=keeps))), agents
    )

    assert () == replayed.differences


async def test_words_of_an_agents_own_that_the_switchboard_might_have_it_say_are_said_again(
    autojump_clock: MockClock,
) -> None:
    """A wording ends with "Goodbye.", and between two sentences of one breath a caller does not begin to speak."""
    call = conversation(
        says("Where is my order?"),
        answers("desk", "It is on its way to you. It will be there on Tuesday. Anything else?"),
        says("No, thank you. Goodbye."),
        answers("desk", "Goodbye.", calls=ENDS),
    )

    replayed = await replay(read_journal(await record(call, agents=roster())), roster())

    assert () == replayed.differences


async def test_the_agent_that_an_order_had_begin_begins_again(autojump_clock: MockClock) -> None:
    """Though calls to this number begin with another one."""
    agents = attrs.evolve(roster(), extras=Extras(inbound={"": "returns"}))
    call = conversation(says("Goodbye."), answers("desk", "Thank you, goodbye.", calls=ENDS))
    journal = await record(call, agents=agents, plan=CallPlan("", "", "inbound", agents="desk"))

    replayed = await replay(read_journal(journal), agents)

    assert () == replayed.differences


def test_every_difference_is_told() -> None:
    async def two() -> list[str]:
        one = await harness.play(GOOD, roster=roster(), bundle=10)
        other = await harness.play(GOOD, ["deepgram: refuse connect 2"], roster=roster(), bundle=10)
        return list(compare(one.entries, other.entries))

    told = trio.run(two, clock=MockClock(autojump_threshold=0))

    assert {"agents", "handoffs", "words", "journal"} <= {line.partition(":")[0] for line in told}
    assert any("returns" in line for line in told)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with call_started"),
        ("not json", "line 1 of the journal is not JSON"),
        ('{"event": "call_started"}', "has no seq, at and event"),
        (LINE, "does not end with call_ended"),
        (END, "does not begin with call_started"),
        (whole(event="turn_heard", text="Hello."), "turn_heard has no 'agent': an older"),
        (whole(event="turn_heard", agent="a", words="Hello."), "turn_heard has no 'text': an older"),
        (whole(event="caller_spoke", start="soon", end=2.0), "line 2 .* caller_spoke"),
        (whole(event="call_parked", duration=2.0, frames={}), "more than one media"),
    ],
)
def test_a_journal_that_cannot_be_played_is_refused(text: str, why: str) -> None:
    with pytest.raises(ReplayRefused, match=why):
        read_journal(text)


def test_a_message_that_is_unknown_is_told() -> None:
    recording = read_journal(whole(event="moon_rose", phase="full"))

    assert ("line 2: 'moon_rose' at 1.5 s is no message of this version",) == recording.unknown


def test_sounds_that_nobody_understood_and_keys_that_are_not_kept_are_told() -> None:
    sound = '{"seq":1,"at":2.0,"event":"caller_spoke","start":1.0,"end":1.5}'
    key = '{"seq":2,"at":2.2,"event":"digit_pressed","digit":""}'

    rebuilt = rebuild(read_journal(f"{LINE}\n{sound}\n{key}\n{END}"))

    assert "a sound at 1.00 s, which nobody understood" in rebuilt.notes
    assert "the key pressed at 2.20 s is not kept (KEEP_DIGITS): 0 is pressed" in rebuilt.notes
    assert [line.digits for line in rebuilt.scenario.caller.lines] == ["0"]


@pytest.mark.parametrize(
    ("entered", "told"),
    [
        ([3], "The caller pressed 0 0 0 on the keypad."),
        ([1, 2], "The caller pressed 0, then 0 0 on the keypad."),
        ([1, 1, 1], "The caller pressed 0, then 0, then 0 on the keypad."),
        ([1], "The caller pressed 0, then 0 0 on the keypad."),
    ],
)
def test_entries_that_one_turn_tells_of_are_told_one_by_one(entered: list[int], told: str) -> None:
    keys = [{"event": "keys_pressed", "count": count, "taken": True} for count in entered]
    turn = {"event": "turn_heard", "agent": "desk", "text": "(pressed 3 keys)"}
    said = {"event": "reply_text", "agent": "desk", "generation": 1, "text": "Thank you."}
    floor = {"event": "floor_taken", "agent": "desk", "incarnation": 1, "offset": 0}
    refused = {"event": "keys_pressed", "count": 2, "taken": False}
    facts: list[Mapping[str, object]] = [floor, refused, *keys, turn, said]
    entries = [{"seq": n, "at": 1.0, **one} for n, one in enumerate(facts, 1)]
    lines = "\n".join(orjson.dumps(entry).decode() for entry in entries)

    rebuilt = rebuild(read_journal(f"{LINE}\n{lines}\n{END}"))

    assert [turn.hears for turn in rebuilt.scenario.agents["desk"].turns] == [told]


@pytest.mark.parametrize("digits", [9, 5000])
def test_a_turn_of_more_keys_than_a_call_has_is_taken_for_words(digits: int) -> None:
    text = f"(pressed {'9' * digits} keys)"

    assert (keys_in(text), is_of_keypad(text)) == (0, False)


async def test_a_call_of_other_agents_is_refused(autojump_clock: MockClock, journal: str) -> None:
    with pytest.raises(ReplayRefused, match="the roster has no agent qualifier"):
        await replay(read_journal(journal), roster())


def test_a_call_of_functions_of_another_agent_is_refused(journal: str) -> None:
    lines = [orjson.loads(line) for line in journal.splitlines()]
    others = [{**line, "agent": "nobody"} if line["event"] == "function_answered" else line for line in lines]
    text = "\n".join(orjson.dumps(line).decode() for line in others)

    with pytest.raises(ReplayRefused, match="the roster has no agent nobody"):
        trio.run(replay, read_journal(text), default_roster(), clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("of_session", "faults"),
    [
        ({"event": "session_ready", "request_id": "1", "took": 4.0}, []),
        ({"event": "session_failed", "error": "lost", "retryable": True}, ["deepgram: drop on connection 1"]),
    ],
)
def test_a_session_whose_beginning_is_not_in_the_journal_is_no_reason_not_to_play(
    of_session: dict[str, object], faults: list[str]
) -> None:
    journal = read_journal(whole(agent="a", incarnation=7, **of_session))

    assert list(recorded_faults(journal.entries)) == faults


@pytest.mark.parametrize("text", ["no journal", '{"a": 1}', "[" * 9000, END])
def test_what_is_no_journal_is_told_before_its_names_are_replaced(text: str, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text(text)
    ran = CliRunner().invoke(commands, ["replay", str(tmp_path), "--anonymise", str(tmp_path / "other.jsonl")])

    assert (ran.exit_code, "journal" in ran.output, (tmp_path / "other.jsonl").exists()) == (2, True, False)


def test_a_call_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: str) -> None:
    monkeypatch.setattr("testkit.replay.LONGEST", 1.0)
    (tmp_path / "journal.jsonl").write_text(journal)
    ran = CliRunner().invoke(commands, ["replay", str(tmp_path)])

    assert (ran.exit_code, "is longer than an hour" in " ".join(ran.output.split())) == (2, True), ran.output


SAID = (
    "My name is Maria Lopez.",
    "This is Maria, my number is +1 555 123 4567.",
    "It is five five five one two three four.",
    "Write to maria.lopez@mail.example.org, please.",
    "I owe 4,250 dollars on card 4111-1111-1111-1111.",
)


def test_names_and_numbers_are_replaced_the_same_by_the_same() -> None:
    turns = [{"seq": n, "at": n, "event": "turn_heard", "agent": "a", "text": said} for n, said in enumerate(SAID)]
    brief = {"name": "Maria Lopez", "summary": "Maria called."}
    entries = [*turns, {"seq": 9, "at": 9.0, "event": "brief_ready", "reader": "b", "brief": brief}]

    text = anonymise("\n".join(orjson.dumps(entry).decode() for entry in entries))

    for secret in ("Maria", "maria", "Lopez", "lopez", "4567", "4111", "five one two"):
        assert secret not in text
    assert "My name is Robin Example." in text
    assert "Robin called." in text
    assert "turn_heard" in text


def test_anonymous_ids_and_times_stay() -> None:
    line = LINE.replace('"seq":0,"at":0.0', '"seq":12345,"at":12.3456').replace("CA1", "CA12345678")

    assert orjson.loads(anonymise(line)) == orjson.loads(line)


def test_the_command_plays_a_call_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: str) -> None:
    (tmp_path / "CA7").mkdir()
    (tmp_path / "CA7" / "journal.jsonl").write_text(journal)
    monkeypatch.setenv("RECORDINGS_DIR", str(tmp_path))

    ran = CliRunner().invoke(commands, ["replay", "CA7", "--anonymise", str(tmp_path / "anonymous.jsonl")])

    assert 0 == ran.exit_code, ran.output
    assert "The same agents, handoffs, words" in ran.output
    assert (tmp_path / "anonymous.jsonl").exists()


def test_the_command_plays_with_the_agents_of_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    (tmp_path / "journal.jsonl").write_text(journal)
    (tmp_path / "late_desk.py").write_text(
        "from tests.testkit.mistakes import roster\nAGENT = roster().agents['returns']\n"
    )
    monkeypatch.setenv("AGENTS", str(tmp_path / "late_desk.py"))

    ran = CliRunner().invoke(commands, ["replay", str(tmp_path)])
    probed = CliRunner().invoke(commands, ["probe", "--offline", "--model", "gpt"])

    assert (ran.exit_code, probed.exit_code) == (2, 2)
    assert "the roster has no agent" in ran.output
    assert "these agents have no cases of their own: give --cases FILE.toml" in probed.output


def test_the_command_refuses_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDINGS_DIR", str(tmp_path))

    (tmp_path / "call.mp3").write_bytes(b"\xff\xfb\x90")

    ran = CliRunner().invoke(commands, ["replay", "CA8"])
    unreadable = CliRunner().invoke(commands, ["replay", str(tmp_path / "call.mp3")])

    assert (ran.exit_code, unreadable.exit_code) == (2, 2)
    assert "there is no journal of this call" in ran.output
    assert "call.mp3 is no journal: it is not UTF-8" in " ".join(unreadable.output.split())
