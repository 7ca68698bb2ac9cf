"""What happens in calls besides talk, over real sockets: several callers at one server, which is then told to stop.

All calls run side by side, on a clock at several times real time: what is asserted is what was said, in which order,
and how the calls ended, never how long anything took.
"""

from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
import trio

from actors.policy import CallPolicy
from agents.roster import default_roster
from agents.sentences import ENGLISH
from demo.stage import rehearse_speech
from simulators.pacing import PacedClock
from simulators.scenario import Caller, parse_scenario
from simulators.speech import synthesise
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.exchange import TwilioKnobs
from store.records import CallRecord
from tests.conftest import FAST_RATE
from tests.e2e.line import Line, open_line

pytestmark = pytest.mark.real_time

POLICY = CallPolicy()
SENTENCES = (
    ENGLISH.still_there,
    ENGLISH.silent_goodbye,
    ENGLISH.length_goodbye,
    ENGLISH.closing,
)
ORDERS_PER_SECOND = 20
VOICEMAIL = "This is Alex from Acme. Please call us back."

AGENT = """
[agents.qualifier]
fallback = ["There is more to tell."]
[[agents.qualifier.turn]]
hears = "tell me more please"
says = ["There is more to tell."]
[[agents.qualifier.turn]]
hears = "i have a customer number"
says = ["Please type it in."]
[[agents.qualifier.turn]]
hears = "the caller pressed 4 7 on the keypad"
says = ["Thank you, I have found you."]
[[agents.qualifier.turn]]
hears = "thank you goodbye"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "customer_goodbye" } }]
"""


def caller(*lines: str, answers: str = "human") -> Caller:
    """One who interrupts the greeting with the first of these lines, and waits for answers to the others."""
    first, *others = [f"[[caller.line]]\n{line}\n" for line in lines]
    text = f'[caller]\nhangs_up = false\nanswers = "{answers}"\n{first}barge_in = 0.4\n{"".join(others)}'
    return parse_scenario(f"{text}[agents.qualifier]\n").caller


TALKS = 'says = "Tell me more, please."'
CALLERS: Mapping[str, Caller] = {
    "+15550000001": caller(TALKS, "silent = 90.0"),
    "+15550000002": caller(
        'says = "I have a customer number."', 'digits = "47#"', 'says = "Thank you. Goodbye."\npause = 2.5'
    ),
    "+15550000003": caller(*12 * [TALKS]),
    "+15550000004": caller(
        'says = "You have reached Ada. Please leave a message after the tone."', "silent = 90.0", answers="machine"
    ),
}
SILENT, TYPES, TALKATIVE, MACHINE = CALLERS
EVERYBODY = attrs.evolve(
    parse_scenario(f"[caller]\n{AGENT}"),
    caller=Caller(lines=tuple(line for caller in CALLERS.values() for line in caller.lines)),
)
"""For the service: it recognises what a caller of its scenario may say."""


def heard(record: CallRecord) -> list[str]:
    return [turn.heard for turn in record.transcript if turn.speaker != "caller"]


async def place(line: Line, number: str) -> SimulatedCall:
    """Have the server call one of the callers."""
    answer = await line.operator.post("/calls", json={"to": number})
    assert answer.status_code == 201, answer.text
    await trio.sleep(2 / ORDERS_PER_SECOND)
    return line.stage.twilio.calls[answer.json()["call_sid"]]


async def everybody_calls(folder: Path) -> dict[str, CallRecord]:
    """Let everybody call at once, and one of them once more; stop the server when the longest call is over."""
    async with open_line(
        folder,
        EVERYBODY,
        CALLER_SILENCE="3",
        MAX_CALL_SECONDS="30",
        VOICEMAIL_MESSAGE=VOICEMAIL,
        DRAIN_TIMEOUT="0",
        CALLS_PER_SECOND=f"{ORDERS_PER_SECOND}",
    ) as line:
        line.stage.twilio.callers = CALLERS
        calls = {number: await place(line, number) for number in CALLERS}
        await calls[SILENT].wait_over()
        calls["drained"] = last = await place(line, TALKATIVE)
        await calls[TALKATIVE].wait_over()
        line.sigterm()
        await last.wait_over()
    return {name: await line.record_of(call) for name, call in calls.items()}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CallRecord]:
    rehearse_speech(EVERYBODY, default_roster())
    voice = default_roster().agents["qualifier"].voice
    for sentence in (*SENTENCES, VOICEMAIL, *EVERYBODY.agents["qualifier"].fallback):
        synthesise(sentence, voice)
    return trio.run(everybody_calls, tmp_path_factory.mktemp("calls"), clock=PacedClock(FAST_RATE))


def test_a_silent_caller_is_asked_twice_and_said_goodbye_to(records: dict[str, CallRecord]) -> None:
    assert records[SILENT].outcome == "caller_silent"
    assert heard(records[SILENT])[-3:] == [
        ENGLISH.still_there,
        ENGLISH.still_there,
        ENGLISH.silent_goodbye,
    ]


def test_keys_are_told_to_the_agent_and_not_to_the_record(records: dict[str, CallRecord]) -> None:
    said = [turn.text for turn in records[TYPES].transcript if turn.speaker == "caller"]

    assert records[TYPES].outcome == "completed"
    assert said == ["I have a customer number.", "(pressed 2 keys)", "Thank you. Goodbye."]
    assert "Thank you, I have found you." in heard(records[TYPES])


def test_the_longest_call_hears_its_goodbye(records: dict[str, CallRecord]) -> None:
    assert records[TALKATIVE].outcome == "max_length"
    assert heard(records[TALKATIVE])[-1] == ENGLISH.length_goodbye


def test_a_machine_is_left_the_message(records: dict[str, CallRecord]) -> None:
    assert records[MACHINE].outcome == "voicemail_left"
    assert heard(records[MACHINE])[-1] == VOICEMAIL


def test_the_end_of_the_drain_is_a_closing_sentence(records: dict[str, CallRecord]) -> None:
    assert records["drained"].outcome == "drained"
    assert heard(records["drained"])[-1] == ENGLISH.closing


async def test_a_machine_is_hung_up_on_where_there_is_no_message(fast_clock: PacedClock, tmp_path: Path) -> None:
    async with open_line(tmp_path, EVERYBODY) as line:
        line.stage.twilio.callers = CALLERS
        call = await place(line, MACHINE)
        await line.wait_over(call)
        record = await line.record_of(call)

    assert record.outcome == "machine"
    assert record.duration < 9  # its greeting of about four seconds is heard, and no second one waited for


@pytest.mark.parametrize("verdict_after", [0.0, 0.1])
async def test_a_machine_that_is_known_before_the_stream_begins_is_left_the_message(
    verdict_after: float, fast_clock: PacedClock, tmp_path: Path
) -> None:
    knobs = TwilioKnobs(bundle=10, verdict_after=verdict_after)
    async with open_line(tmp_path, EVERYBODY, twilio=knobs, VOICEMAIL_MESSAGE=VOICEMAIL) as line:
        line.stage.twilio.callers = CALLERS
        call = await place(line, MACHINE)
        await line.wait_over(call)
        record = await line.record_of(call)

    assert (record.outcome, heard(record)[-1]) == ("voicemail_left", VOICEMAIL)
