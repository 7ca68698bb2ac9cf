"""TwiML: documents that tell Twilio what to do with a call; the tests hold them against Twilio's own builder.

Pure: values in, XML text out. A document after `<Connect>` always ends in `<Hangup/>`: a `<Pause>` there leaves the
caller on a dead line.
"""

from html import escape
from urllib.parse import urlencode

DIAL_SECONDS = 20
KEY_SECONDS = 8
_HANG_UP = "<Hangup />"


def _verb(name: str, inner: str = "", /, **attributes: str | None) -> str:
    """Write an element with what is in it, and with the attributes that are not None."""
    given = "".join(f' {key}="{escape(text)}"' for key, text in attributes.items() if text is not None)
    return f"<{name}{given}>{inner}</{name}>" if inner else f"<{name}{given} />"


def _document(*verbs: str) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + _verb("Response", "".join(verbs))


def connect_stream(
    origin: str, socket_url: str, token: str, *, again: bool = False, notice: str = "", language: str = ""
) -> str:
    """Connect the call to our media stream; `action` and `statusCallback` go to `origin`.

    `again` if the call has lost a stream before: `action` is told so. `notice` is said first, and to its
    end, in `language`.
    """
    parameter = _verb("Parameter", name="token", value=token)
    stream = _verb("Stream", parameter, url=socket_url, statusCallback=f"{origin}/twilio/stream")
    connect = _verb("Connect", stream, action=f"{origin}/twilio/after{'?again=1' if again else ''}")
    return _document(_verb("Say", escape(notice), language=language or None) if notice else "", connect, _HANG_UP)


def say_and_end(words: str, language: str = "", *, dial: str = "", line: str = "") -> str:
    """Say something, then dial a number if there is one, from our own `line`, and end the call.

    `language` is Twilio's name for it (`es-MX`); empty is English.
    Without a line the caller's own number would be shown, and the person dialled may refuse one that is withheld
    (https://www.twilio.com/docs/api/errors/13214).
    """
    person = _verb("Number", escape(dial))
    dialled = _verb("Dial", person, callerId=line or None, timeout=str(DIAL_SECONDS)) if dial else ""
    return _document(_verb("Say", escape(words), language=language or None), dialled, _HANG_UP)


def put_through(
    origin: str, number: str, line: str, call_sid: str, *, whispers: bool, language: str = "", press: str = ""
) -> str:
    """Dial a person from our line; with `whispers` they first hear who calls, in `language`, and press a key.

    The address of the introduction has `press`, which is said last: it asks for the key.
    """
    asked = urlencode({"call": call_sid, "language": language, "press": press})
    person = _verb("Number", escape(number), url=f"{origin}/twilio/whisper?{asked}" if whispers else None)
    options = {"action": f"{origin}/twilio/dialled", "answerOnBridge": "true", "callerId": line or None}
    return _document(_verb("Dial", person, **options, timeout=str(DIAL_SECONDS)), _HANG_UP)


def whisper(origin: str, call_sid: str, words: str, language: str = "") -> str:
    """Say to the person alone who calls, and which key takes the call; without it, they are not connected."""
    options = {"action": f"{origin}/twilio/accepted?call={call_sid}", "input": "dtmf", "numDigits": "1"}
    said = _verb("Say", escape(words), language=language or None)
    return _document(_verb("Gather", said, **options, timeout=str(KEY_SECONDS)), _HANG_UP)


def hang_up() -> str:
    return _document(_HANG_UP)


def nothing() -> str:
    """Do nothing more: the call is over."""
    return _document()
