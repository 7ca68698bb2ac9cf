"""Somebody is called on the caller's behalf: what they are told, what they do, and what the server hears of it."""

import pytest
import trio
from trio.testing import MockClock

from protocol.wire import WebSocket
from simulators.scenario import CallerLine, Human
from simulators.speech import synthesise
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.log import LineSpoken, PersonActed, StreamOpened, VerbExecuted, WarningRaised
from tests.simulators.twilio.far_end import ORIGIN, STREAM, FarEnd, greet_and_listen, keep_open, line_open, plot

NUMBER = "+15550002222"
DIAL = (
    f'<Response><Dial action="{ORIGIN}/dialled" timeout="20" answerOnBridge="true" callerId="+15550009999">'
    f'<Number url="{ORIGIN}/whisper?call=1">{NUMBER}</Number></Dial><Hangup/></Response>'
)
COLD = DIAL.replace(f' url="{ORIGIN}/whisper?call=1"', "")
WHISPER = (
    f'<Response><Gather numDigits="1" timeout="6" action="{ORIGIN}/accepted"><Say>John, about a pension.</Say></Gather>'
    "<Hangup/></Response>"
)
TAKEN, REFUSED, DONE = "<Response/>", "<Response><Hangup/></Response>", "<Response><Hangup/></Response>"


async def put_through(
    human: Human,
    document: str = DIAL,
    accepted: str = TAKEN,
    whisper: str = WHISPER,
    knobs: TwilioKnobs | None = None,
) -> tuple[FarEnd, SimulatedCall]:
    answers = {"/voice": document, "/whisper": whisper, "/accepted": accepted, "/dialled": DONE}
    far = FarEnd({path: page for path, page in answers.items() if page})
    async with line_open(far, plot(human=human), knobs=knobs) as line:
        call = await line.order()
        await call.wait_over()
    assert all(hook.valid for hook in far.webhooks)
    return far, call


def told(far: FarEnd) -> dict[str, str]:
    (form,) = far.posts("/dialled")
    return {name: form[name] for name in ("DialCallStatus", "DialCallDuration", "DialBridged", "CallStatus")}


def acts(call: SimulatedCall) -> list[str]:
    return [entry.did for entry in call.log.of(PersonActed)]


async def test_somebody_who_presses_the_key_is_connected(autojump_clock: MockClock) -> None:
    far, call = await put_through(Human(after=4.0, talks=5.0, says="Hello, this is Kim."))

    whispered = len(synthesise("John, about a pension.", "twilio-say").audio) / 8000
    assert acts(call) == ["answered", "pressed 1", "was connected", "hung up"]
    assert far.posts("/accepted")[0]["Digits"] == "1"
    assert told(far) == {
        "DialCallStatus": "completed",
        "DialCallDuration": str(round(whispered + 5.0)),
        "DialBridged": "true",
        "CallStatus": "in-progress",
    }
    assert call.heard is not None
    assert synthesise("Hello, this is Kim.", "person-1").audio in bytes(call.heard.agents)
    assert synthesise("John, about a pension.", "twilio-say").audio not in bytes(call.heard.agents)


async def test_the_whisper_is_asked_for_on_their_own_leg(autojump_clock: MockClock) -> None:
    far, call = await put_through(Human())

    (form,) = far.posts("/whisper")
    assert (form["ParentCallSid"], form["Direction"], form["To"]) == (call.sid, "outbound-dial", NUMBER)
    assert form["From"] == "+15550009999"
    assert form["CallSid"] == far.posts("/dialled")[0]["DialCallSid"] != call.sid


@pytest.mark.parametrize(
    ("human", "accepted", "did"),
    [
        (Human(presses="2"), REFUSED, ["answered", "pressed 2"]),
        (Human(presses="nothing"), TAKEN, ["answered"]),
        (Human(hangs_up_after=0.5), TAKEN, ["answered", "hung up"]),
    ],
)
async def test_somebody_who_does_not_want_the_call_is_not_connected(
    human: Human, accepted: str, did: list[str], autojump_clock: MockClock
) -> None:
    far, call = await put_through(human, accepted=accepted)

    assert acts(call) == did
    assert (told(far)["DialCallStatus"], told(far)["DialBridged"]) == ("no-answer", "false")
    assert VerbExecuted(call.log.of(VerbExecuted)[-2].at, "Dial", f"{NUMBER} declined") in call.log.entries


async def test_a_call_that_was_declined_may_be_reported_as_completed(autojump_clock: MockClock) -> None:
    far, _ = await put_through(Human(presses="nothing"), knobs=TwilioKnobs(declined_status="completed"))

    assert (told(far)["DialCallStatus"], told(far)["DialBridged"]) == ("completed", "false")


@pytest.mark.parametrize("answers", ["busy", "failed", "no-answer"])
@pytest.mark.parametrize("document", [DIAL, COLD])
async def test_nobody_answers(answers: str, document: str, autojump_clock: MockClock) -> None:
    far, call = await put_through(Human(answers=answers), document)  # type: ignore[arg-type]

    assert (acts(call), told(far)["DialCallStatus"], told(far)["DialCallDuration"]) == ([], answers, "0")


async def test_somebody_who_takes_longer_than_it_rings_does_not_answer(autojump_clock: MockClock) -> None:
    far, _ = await put_through(Human(after=30.0))

    assert told(far)["DialCallStatus"] == "no-answer"
    assert far.webhooks[-2].at == pytest.approx(1.5 + 20)


async def test_without_a_whisper_anybody_who_answers_is_connected(autojump_clock: MockClock) -> None:
    far, call = await put_through(Human(presses="nothing"), COLD)

    assert acts(call) == ["answered", "was connected", "hung up"]
    assert told(far)["DialBridged"] == "true"


@pytest.mark.parametrize(("waits", "bridged", "status"), [(2.0, "false", "no-answer"), (8.0, "true", "completed")])
async def test_a_caller_who_hangs_up_meanwhile_is_reported_with_the_call(
    waits: float, bridged: str, status: str, autojump_clock: MockClock
) -> None:
    far, call = await put_through(Human(after=3.0, talks=60.0, caller_waits=waits), COLD)

    assert told(far) | {"DialCallDuration": ""} == {
        "DialCallStatus": status,
        "DialBridged": bridged,
        "CallStatus": "completed",
        "DialCallDuration": "",
    }
    assert call.status.value == "completed"


@pytest.mark.parametrize(("page", "code"), [("", 11200), ("nonsense", 12100)])
async def test_a_whisper_that_cannot_be_had_costs_the_connection(
    page: str, code: int, autojump_clock: MockClock
) -> None:
    far, call = await put_through(Human(), whisper=page)

    assert [warning.code for warning in call.log.of(WarningRaised)] == [code]
    assert told(far)["DialBridged"] == "false"


async def test_the_caller_is_connected_to_a_new_stream_when_nobody_came(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM, "/dialled": STREAM, "/after": DONE}, greet_and_listen)
    async with line_open(far, plot(human=Human(answers="busy"))) as line:
        call = await line.order()
        await trio.sleep(3.0)
        await line.post(f"Calls/{call.sid}.json", Twiml=DIAL)
        await call.wait_over()

    first, second = far.starts
    assert (first.call_sid, first.stream_sid == second.stream_sid) == (second.call_sid, False)
    assert [stream.how for stream in call.streams] == ["stopped", "hung up"]
    assert far.stops == 2


async def test_on_the_new_stream_the_caller_waits_to_be_spoken_to(autojump_clock: MockClock) -> None:
    async def greet_late_again(socket: WebSocket, stream_sid: str) -> None:
        await trio.sleep(5.0 if len(far.starts) > 1 else 0.0)
        await greet_and_listen(socket, stream_sid)

    far = FarEnd({"/voice": STREAM, "/dialled": STREAM, "/after": DONE}, greet_late_again)
    waits = CallerLine(says="Hello there.", pause=2.0)
    async with line_open(far, plot(waits, human=Human(answers="busy"))) as line:
        call = await line.order()
        await trio.sleep(3.0)
        await line.post(f"Calls/{call.sid}.json", Twiml=DIAL)
        await call.wait_over()

    (spoken,) = call.log.of(LineSpoken)
    second = call.log.of(StreamOpened)[1]
    assert spoken.at - second.at > 5.0 + 2.0


async def test_a_redirect_ends_the_ringing(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": DIAL}, keep_open)
    async with line_open(far, plot(human=Human(after=10.0))) as line:
        call = await line.order()
        await trio.sleep(3.0)
        await line.post(f"Calls/{call.sid}.json", Status="completed")
        await call.wait_over()

    assert far.posts("/dialled") == []
    assert (call.log.of(StreamOpened), call.status.value) == ((), "completed")


@pytest.mark.parametrize(
    ("whisper", "did"),
    [
        ("<Response><Pause length='2'/><Play>/a.mp3</Play></Response>", ["answered", "was connected", "hung up"]),
        (f"<Response><Redirect>{ORIGIN}/accepted</Redirect></Response>", ["answered", "was connected", "hung up"]),
        ("<Response><Gather><Hangup/></Gather></Response>", ["answered"]),
        ("<Response><Reject/></Response>", ["answered"]),
    ],
)
async def test_whatever_the_whisper_does_its_end_connects_and_a_hang_up_does_not(
    whisper: str, did: list[str], autojump_clock: MockClock
) -> None:
    _, call = await put_through(Human(talks=1.0), whisper=whisper)

    assert acts(call) == did
