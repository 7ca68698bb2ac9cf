"""Why a call was not answered is said in words, and never more surely than Twilio knows."""

import pytest

from web.reasons import why


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
    ],
)
def test_the_end_of_a_call_is_explained(status: str, form: dict[str, str], says: str) -> None:
    assert why(status, form) == says
