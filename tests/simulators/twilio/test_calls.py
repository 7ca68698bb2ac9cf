"""A call's whole life: ordered or rung in, answered, streamed, changed, ended, reported; under a virtual clock."""

import pytest
import trio
from trio.testing import MockClock
from twilio.request_validator import RequestValidator

from simulators.scenario import Answers, CallerLine, Human, HumanAnswers
from simulators.speech import synthesise
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.log import StreamClosed, VerbExecuted, WarningRaised
from simulators.twilio.performance import APPLICATION_ERROR
from tests.simulators.twilio.far_end import (
    ORIGIN,
    STREAM,
    TOKEN,
    FarEnd,
    greet_and_close,
    greet_and_listen,
    keep_open,
    line_open,
    plot,
)

SAY = "<Response><Say>Sorry about that.</Say><Hangup/></Response>"


def verbs(call: SimulatedCall) -> list[tuple[str, str]]:
    return [(entry.verb, entry.detail) for entry in call.log.of(VerbExecuted)]


def warnings(call: SimulatedCall) -> list[int]:
    return [entry.code for entry in call.log.of(WarningRaised)]


async def test_an_outbound_call_rings_is_answered_streams_and_completes(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM, "/after": "<Response/>"}, greet_and_listen)
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert far.statuses() == ["initiated", "ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in far.posts("/status")] == ["0", "1", "2", "3"]
    assert [hook.at for hook in far.webhooks if hook.path == "/status"][:3] == pytest.approx([0.0, 0.5, 1.5])
    assert all(hook.valid for hook in far.webhooks)
    assert far.posts("/voice")[0]["CallStatus"] == "in-progress"
    assert far.starts[0].call_sid == call.sid
    assert far.starts[0].parameters == {"token": "t1"}
    assert far.posts("/status")[-1]["CallDuration"] == str(call.duration)
    assert far.stops == 1


async def test_the_upgrade_is_signed_over_the_url_of_the_twiml(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM}, greet_and_listen)
    async with line_open(far, knobs=TwilioKnobs(dials_plaintext=True)) as line:
        await (await line.order()).wait_over()

    url, headers = far.dialled[0]
    assert url == "ws://agent.example.com/twilio"
    assert RequestValidator(TOKEN).validate("wss://agent.example.com/twilio", {}, headers["x-twilio-signature"])


@pytest.mark.parametrize(
    ("answers", "status", "seconds"),
    [("busy", "busy", 1.5), ("failed", "failed", 1.5), ("no-answer", "no-answer", 20.5)],
)
async def test_a_call_nobody_takes_ends_with_its_status(
    answers: Answers, status: str, seconds: float, autojump_clock: MockClock
) -> None:
    far = FarEnd()
    async with line_open(far, plot(answers=answers)) as line:
        call = await line.order(Timeout="20")
        await call.wait_over()

    assert far.statuses() == ["initiated", "ringing", status]
    assert trio.current_time() == pytest.approx(seconds)
    assert far.posts("/voice") == []


async def test_only_completed_is_reported_unless_more_is_asked_for(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": SAY})
    async with line_open(far) as line:
        call = await line.order(StatusCallbackEvent=[])
        await call.wait_over()

    assert far.statuses() == ["completed"]


async def test_the_server_closing_the_stream_asks_the_action_url_what_follows(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM, "/after": SAY}, greet_and_close)
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert far.posts("/after")[0]["CallStatus"] == "in-progress"
    assert verbs(call) == [("Say", "Sorry about that."), ("Hangup", "")]
    assert far.stops == 0


async def test_the_caller_hanging_up_tells_the_action_url_that_the_call_is_completed(
    autojump_clock: MockClock,
) -> None:
    far = FarEnd({"/voice": STREAM, "/after": SAY}, greet_and_listen)
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert far.posts("/after")[0]["CallStatus"] == "completed"
    assert verbs(call) == []


async def test_completing_a_call_by_rest_stops_its_stream_and_ends_it(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM}, keep_open)
    async with line_open(far, plot(hangs_up=False)) as line:
        call = await line.order()
        await trio.sleep(5.0)
        response = await line.post(f"Calls/{call.sid}.json", Status="completed")
        await call.wait_over()
        again = await line.post(f"Calls/{call.sid}.json", Status="completed")

    assert response.status_code == 200
    assert far.stops == 1
    assert far.posts("/after") == []
    assert call.ended_at is not None
    assert call.duration in {3, 4}
    assert (again.status_code, again.json()["code"]) == (400, 21220)


async def test_redirecting_a_call_stops_its_stream_and_speaks_to_the_caller(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM}, keep_open)
    twiml = "<Response><Say>We are sorry.</Say><Dial>+15550002222</Dial></Response>"
    async with line_open(far, plot(hangs_up=False)) as line:
        call = await line.order()
        await trio.sleep(3.0)
        await line.post(f"Calls/{call.sid}.json", Twiml=twiml)
        await call.wait_over()

    assert far.stops == 1
    assert verbs(call) == [("Say", "We are sorry."), ("Dial", "+15550002222 answered")]
    assert call.heard is not None
    assert synthesise("We are sorry.", "twilio-say").audio in bytes(call.heard.agents)
    assert call.status.value == "completed"


async def test_a_call_whose_caller_has_gone_cannot_be_redirected(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM, "/after": "<Response/>"}, greet_and_listen, slow=1.0)
    async with line_open(far) as line:
        call = await line.order(StatusCallback="")
        closed = trio.Event()
        call.log.observe = lambda entry: closed.set() if isinstance(entry, StreamClosed) else None
        await closed.wait()
        response = await line.post(f"Calls/{call.sid}.json", Twiml=SAY)
        await call.wait_over()

    assert (response.status_code, response.json()["code"]) == (400, 21220)
    assert verbs(call) == []


async def test_redirecting_to_a_url_connects_a_new_stream_of_the_same_call(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM, "/again": STREAM}, keep_open)
    async with line_open(far, plot(hangs_up=False)) as line:
        call = await line.order()
        await trio.sleep(3.0)
        await line.post(f"Calls/{call.sid}.json", Url=f"{ORIGIN}/again")
        await trio.sleep(3.0)
        await line.post(f"Calls/{call.sid}.json", Status="completed")
        await call.wait_over()

    first, second = far.starts
    assert first.call_sid == second.call_sid
    assert first.stream_sid != second.stream_sid
    assert [stream.how for stream in call.streams] == ["stopped", "stopped"]


async def test_a_redirect_interrupts_a_verb_of_twilios_own(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": "<Response><Pause length='60'/><Say>Never.</Say></Response>"})
    async with line_open(far) as line:
        call = await line.order()
        await trio.sleep(5.0)
        await line.post(f"Calls/{call.sid}.json", Twiml=SAY)
        await call.wait_over()

    assert verbs(call) == [("Pause", "60"), ("Say", "Sorry about that."), ("Hangup", "")]


async def test_a_ringing_call_can_be_cancelled(autojump_clock: MockClock) -> None:
    far = FarEnd()
    async with line_open(far) as line:
        call = await line.order()
        await trio.sleep(1.0)
        await line.post(f"Calls/{call.sid}.json", Status="canceled")
        await call.wait_over()

    assert far.statuses() == ["initiated", "ringing", "canceled"]


@pytest.mark.parametrize("change", [{"Twiml": SAY}, {"Url": f"{ORIGIN}/next"}])
@pytest.mark.parametrize(("after", "status"), [(0.0, "queued"), (1.0, "ringing"), (60.0, "completed")])
async def test_only_a_call_in_progress_can_be_redirected(
    change: dict[str, str], after: float, status: str, autojump_clock: MockClock
) -> None:
    far = FarEnd({"/voice": SAY})
    async with line_open(far, knobs=TwilioKnobs(calls_per_second=1.0)) as line:
        first, call = await line.order(), await line.order()
        await trio.sleep(after + (1.0 if after else 0.0))
        response = await line.post(f"Calls/{call.sid}.json", **change)
        shown = (await line.get(f"Calls/{call.sid}.json")).json()
        await first.wait_over()
        await call.wait_over()

    assert (response.status_code, response.json()["code"], shown["status"]) == (400, 21220, status)
    assert "/next" not in [hook.path for hook in far.webhooks]


async def test_a_queued_call_can_be_cancelled_or_told_another_callback(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": SAY})
    async with line_open(far, knobs=TwilioKnobs(calls_per_second=1.0)) as line:
        await line.order()
        call = await line.order()
        told = await line.post(f"Calls/{call.sid}.json", StatusCallback=f"{ORIGIN}/stream")
        ended = await line.post(f"Calls/{call.sid}.json", Status="completed")
        await call.wait_over()

    assert (told.status_code, ended.status_code, call.status.value) == (200, 200, "canceled")
    assert [form["CallStatus"] for form in far.posts("/stream")][-1:] == ["canceled"]


@pytest.mark.parametrize(
    "twiml",
    [
        "<Response><Redirect>https://[::1/</Redirect></Response>",
        "<Response><Redirect>http://a..b/</Redirect></Response>",
        "<Response><Redirect>http://agent:99999/</Redirect></Response>",
        "<Response><Redirect>mailto:agent</Redirect></Response>",
        "<Response><Redirect/></Response>",
        "<Response><Dial action='ftp://x/y' timeout='1'>+15550001111</Dial></Response>",
        "<Response><Pause length='nan'/></Response>",
        "<Response>" + "<Gather>" * 900 + "</Gather>" * 900 + "</Response>",
        "<Response><Say>" + "&#233;" * 10 + "</Say></Response>",
    ],
)
async def test_twiml_that_makes_no_sense_costs_its_call_only(twiml: str, autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/odd": twiml, "/voice": SAY})) as line:
        odd = await line.order(Url=f"{ORIGIN}/odd")
        await odd.wait_over()
        call = await line.order()
        await call.wait_over()

    assert [odd.status.value, call.status.value] == ["completed", "completed"]


async def test_a_call_in_progress_cannot_be_cancelled_only_completed(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM})
    async with line_open(far, plot(hangs_up=False)) as line:
        call = await line.order()
        await trio.sleep(3.0)
        response = await line.post(f"Calls/{call.sid}.json", Status="canceled")
        await trio.sleep(3.0)

        assert response.json()["status"] == "in-progress"
        assert not call.is_over


async def test_synchronous_machine_detection_holds_the_twiml_back(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": SAY})
    async with line_open(far, plot(answers="machine")) as line:
        call = await line.order(MachineDetection="DetectMessageEnd")
        await call.wait_over()

    assert far.posts("/voice")[0]["AnsweredBy"] == "machine_end_beep"
    assert far.webhooks[[hook.path for hook in far.webhooks].index("/voice")].at == pytest.approx(3.5)


@pytest.mark.parametrize(("answers", "verdict"), [("machine", "machine_start"), ("human", "human")])
async def test_asynchronous_machine_detection_posts_its_verdict(
    answers: Answers, verdict: str, autojump_clock: MockClock
) -> None:
    far = FarEnd({"/voice": STREAM}, greet_and_listen)
    async with line_open(far, plot(CallerLine(silent=5.0), answers=answers)) as line:
        call = await line.order(MachineDetection="Enable", AsyncAmd="true", AsyncAmdStatusCallback=f"{ORIGIN}/amd")
        await call.wait_over()

    (form,) = far.posts("/amd")
    assert (form["AnsweredBy"], form["MachineDetectionDuration"]) == (verdict, "2000")
    assert "AnsweredBy" not in far.posts("/voice")[0]


async def test_the_time_limit_ends_the_call(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM})
    async with line_open(far, plot(hangs_up=False)) as line:
        call = await line.order(TimeLimit="10")
        await call.wait_over()

    assert call.duration == 10
    assert far.stops == 1


async def test_an_inbound_call_is_answered_by_the_servers_twiml(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM}, greet_and_listen)
    async with line_open(far) as line:
        call = line.simulator.call_in(f"{ORIGIN}/voice", to="+15550009999")
        await call.wait_over()

    form = far.posts("/voice")[0]
    assert (form["Direction"], form["CallStatus"]) == ("inbound", "ringing")
    assert (form["From"], form["To"]) == ("+15551230000", "+15550009999")
    assert call.status.value == "completed"


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
async def test_an_inbound_call_can_be_rejected(reason: str, status: str, autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": f"<Response><Reject reason='{reason}'/></Response>"})
    async with line_open(far) as line:
        call = line.simulator.call_in(f"{ORIGIN}/voice")
        await call.wait_over()

    assert call.status.value == status
    assert call.answered_at is None


async def test_a_refused_stream_is_an_error_on_the_log_and_the_action_url_is_asked(autojump_clock: MockClock) -> None:
    twiml = STREAM.replace("<Stream ", f'<Stream statusCallback="{ORIGIN}/stream" ')
    far = FarEnd({"/voice": twiml, "/after": SAY}, refuses=31920)
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert warnings(call) == [31920]
    assert far.posts("/stream")[0]["StreamEvent"] == "stream-error"
    assert verbs(call)[0] == ("Say", "Sorry about that.")


async def test_stream_callbacks_say_when_it_started_and_stopped(autojump_clock: MockClock) -> None:
    twiml = STREAM.replace("<Stream ", f'<Stream name="n" statusCallback="{ORIGIN}/stream" ')
    far = FarEnd({"/voice": twiml}, greet_and_listen)
    async with line_open(far) as line:
        await (await line.order()).wait_over()

    assert [(form["StreamEvent"], form["StreamName"]) for form in far.posts("/stream")] == [
        ("stream-started", "n"),
        ("stream-stopped", "n"),
    ]


@pytest.mark.parametrize(
    ("url", "code"),
    [("wss://agent.example.com/twilio?x=1", 31920), ("https://agent.example.com/twilio", 31922)],
)
async def test_a_stream_url_twilio_would_not_dial_is_not_dialled(
    url: str, code: int, autojump_clock: MockClock
) -> None:
    far = FarEnd({"/voice": f'<Response><Connect><Stream url="{url}"/></Connect></Response>'})
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert warnings(call) == [code]
    assert far.dialled == []


async def test_plain_ws_is_refused_when_the_knob_asks_for_it(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": '<Response><Connect><Stream url="ws://a.example/t"/></Connect></Response>'})
    async with line_open(far, knobs=TwilioKnobs(requires_wss=True)) as line:
        call = await line.order()
        await call.wait_over()

    assert warnings(call) == [31922]


async def test_a_server_without_a_page_gets_the_application_error(autojump_clock: MockClock) -> None:
    far = FarEnd()
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert warnings(call) == [11200]
    assert verbs(call) == [("Say", APPLICATION_ERROR), ("Hangup", "")]


async def test_a_server_that_does_not_answer_is_given_fifteen_seconds(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM}, slow=60.0)
    async with line_open(far) as line:
        call = await line.order(StatusCallback="")
        await call.wait_over()

    assert warnings(call) == [11205]
    assert trio.current_time() > 16.5


async def test_the_fallback_url_takes_over(autojump_clock: MockClock) -> None:
    far = FarEnd({"/fallback": SAY})
    async with line_open(far) as line:
        call = await line.order(FallbackUrl=f"{ORIGIN}/fallback")
        await call.wait_over()

    assert far.posts("/fallback")[0]["ErrorCode"] == "11200"
    assert verbs(call)[0] == ("Say", "Sorry about that.")


async def test_an_action_url_that_fails_ends_in_the_application_error(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": STREAM}, greet_and_close)
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert warnings(call) == [11200]
    assert verbs(call) == [("Say", APPLICATION_ERROR)]


@pytest.mark.parametrize(
    ("answers", "outcome", "status"),
    [("human", "answered", "completed"), ("busy", "busy", "busy"), ("no-answer", "no-answer", "no-answer")],
)
async def test_a_dial_reports_how_it_went_to_its_action(
    answers: HumanAnswers, outcome: str, status: str, autojump_clock: MockClock
) -> None:
    page = f"<Response><Dial action='{ORIGIN}/dialled' timeout='7'>+15550002222</Dial></Response>"
    far = FarEnd({"/voice": page, "/dialled": SAY})
    async with line_open(far, plot(human=Human(answers))) as line:
        call = await line.order()
        await call.wait_over()

    assert far.posts("/dialled")[0]["DialCallStatus"] == status
    assert verbs(call)[0] == ("Dial", f"+15550002222 {outcome}")


async def test_other_verbs_are_passed_over_in_order(autojump_clock: MockClock) -> None:
    page = "<Response><Gather/><Play>/a.mp3</Play><Play digits='1'/><Pause/><Redirect>/next</Redirect></Response>"
    far = FarEnd({"/voice": page, "/next": SAY})
    async with line_open(far) as line:
        call = await line.order()
        await call.wait_over()

    assert verbs(call) == [
        ("Gather", "ignored"),
        ("Play", f"{ORIGIN}/a.mp3"),
        ("Play", "1"),
        ("Pause", "1"),
        ("Say", "Sorry about that."),
        ("Hangup", ""),
    ]


async def test_inline_twiml_needs_no_webhook(autojump_clock: MockClock) -> None:
    far = FarEnd()
    async with line_open(far) as line:
        call = await line.order(Url="", Twiml=SAY)
        await call.wait_over()

    assert far.posts("/voice") == []
    assert verbs(call)[0] == ("Say", "Sorry about that.")


async def test_a_get_webhook_carries_its_fields_in_a_signed_query(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": SAY})
    async with line_open(far) as line:
        call = await line.order(Method="GET")
        await call.wait_over()

    (hook,) = [hook for hook in far.webhooks if hook.path == "/voice"]
    assert hook.form == {}
    assert verbs(call)[0] == ("Say", "Sorry about that.")
