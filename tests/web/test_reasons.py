"""Why a call was not answered is said in words, and never more surely than Twilio knows."""

import pytest

from web.calls.outcomes import why, why_stream

DECLINED, OFF, NONE = "the call was declined", "the phone is switched off or out of reach", "the number does not exist"


@pytest.mark.parametrize(
    ("status", "form", "says"),
    [
        ("busy", {}, "the line was engaged"),
        ("failed", {}, "the call could not be put through"),
        ("failed", {"SipResponseCode": "999"}, "the call could not be put through"),
        ("failed", {"SipResponseCode": "480"}, "the phone is switched off or out of reach (SIP 480)"),
        ("failed", {"ErrorCode": "0", "SipResponseCode": "404"}, "the number does not exist (SIP 404)"),
        ("failed", {"ErrorCode": "21215"}, "calls to this country are not enabled in the account (Twilio 21215)"),
        (
            "failed",
            {"ErrorCode": "99999"},
            "the call could not be put through (Twilio 99999: https://www.twilio.com/docs/api/errors/99999)",
        ),
        ("failed", {"ErrorCode": "<b>"}, "the call could not be put through"),
        ("no-answer", {"SipResponseCode": "487"}, "nobody picked up"),
        ("teleported", {}, "teleported"),
        ("failed", {"ErrorCode": "9" * 5000}, "the call could not be put through"),
    ],
)
def test_the_end_of_a_call_is_explained(status: str, form: dict[str, str], says: str) -> None:
    assert why(status, form) == says


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
@pytest.mark.parametrize(
    ("sip", "says"),
    [
        ("603", DECLINED),
        ("480", OFF),
        ("404", NONE),
        ("604", NONE),
        ("486", "the line was engaged"),
        ("600", "the line was engaged"),
        ("410", "the number is no longer in use"),
        ("484", "the number is not complete"),
        ("408", "the carrier did not answer in time"),
        ("403", "the carrier refused the call"),
        ("500", "the carrier could not take the call"),
        ("499", "the carrier refused the call"),
        ("699", "the call was refused"),
    ],
)
def test_the_carriers_answer_is_told_whatever_the_status(status: str, sip: str, says: str) -> None:
    told = {why(status, {field: sip}) for field in ("SipResponseCode", "DialSipResponseCode")}

    assert told == {says if (status, says) == ("busy", "the line was engaged") else f"{says} (SIP {sip})"}


@pytest.mark.parametrize(
    ("status", "sip", "says"),
    [
        ("busy", "487", "the line was engaged"),
        ("canceled", "487", "it was hung up before anybody answered"),
        ("failed", "487", "it rang until the time for it was over (SIP 487)"),
        ("no-answer", "200", "nobody picked up"),
        ("no-answer", "", "nobody picked up"),
        ("busy", "4860", "the line was engaged"),
        ("busy", "\u0664\u0668\u0666", "the line was engaged"),
        ("completed", "480", "it was answered, and over before an agent could speak"),
    ],
)
def test_a_carriers_answer_that_says_less_than_the_status_is_left_out(status: str, sip: str, says: str) -> None:
    assert why(status, {"SipResponseCode": sip}) == says


UPGRADE = "our server, or the proxy in front of it, did not accept the WebSocket upgrade (Twilio 31920)"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"StreamError": "31920"}, UPGRADE),
        ({"StreamError": "31920 - Stream - WebSocket - Handshake Error"}, UPGRADE),
        ({"StreamErrorCode": "31920", "StreamError": "Handshake Error"}, UPGRADE),
        ({"ErrorCode": "31920"}, UPGRADE),
        ({"StreamError": "31910"}, "Twilio could not make a TLS connection to our server (Twilio 31910)"),
        ({"StreamError": "31999"}, "Twilio 31999: https://www.twilio.com/docs/api/errors/31999"),
        ({"StreamError": "Handshake\n Error"}, "Handshake Error"),
        ({"StreamError": "x" * 900}, "x" * 200),
        ({"StreamError": "9" * 5000}, "9" * 200),
        ({}, "Twilio does not say why"),
    ],
)
def test_an_error_of_a_stream_is_told_in_words(form: dict[str, str], says: str) -> None:
    assert why_stream(form) == says
