"""Why a call was not answered, in plain words, as far as Twilio says.

Twilio reports the end of a call with its status, and, where it knows more, with an error code or with the SIP response
of the carrier (https://www.twilio.com/docs/voice/api/call-resource#statuscallback). Pure.
"""

from collections.abc import Mapping

_CODES: Mapping[str, str] = {
    "10004": "the account's limit of concurrent calls was reached",
    "11200": "our own server did not answer Twilio as it should",
    "11205": "Twilio could not reach our own server",
    "13224": "the number cannot be reached",
    "21214": "the number cannot be reached",
    "21215": "calls to this country are not enabled in the account",
    "21216": "Twilio blocks calls to this number",
    "21217": "the number does not exist",
    "32005": "the number cannot be reached",
}
_SIP: Mapping[str, str] = {
    "403": "the carrier refused the call",
    "404": "the number does not exist",
    "408": "the carrier did not answer in time",
    "410": "the number is no longer in use",
    "480": "the phone is switched off or out of reach",
    "484": "the number is not complete",
    "486": "the line was engaged",
    "487": "it rang until the time for it was over",
    "503": "the carrier could not take the call",
    "600": "the line was engaged",
    "603": "the call was declined",
    "604": "the number does not exist",
}
_STATUSES: Mapping[str, str] = {
    "busy": "the line was engaged",
    "no-answer": "nobody picked up",
    "failed": "the call could not be put through",
    "canceled": "it was hung up before anybody answered",
    "completed": "it was answered, and over before an agent could speak",
}


def why(status: str, form: Mapping[str, str]) -> str:
    """Explain how a call without a conversation ended, from the form of its last status callback."""
    code, sip = form.get("ErrorCode", ""), form.get("SipResponseCode", "")
    if code in _CODES:
        return f"{_CODES[code]} (Twilio {code})"
    if code.isdecimal() and code != "0":
        return f"{_STATUSES.get(status, status)} (Twilio {code}: https://www.twilio.com/docs/api/errors/{code})"
    if status == "failed" and sip in _SIP:
        return f"{_SIP[sip]} (SIP {sip})"
    return _STATUSES.get(status, status)
