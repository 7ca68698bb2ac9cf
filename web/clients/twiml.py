"""TwiML documents of this server, made by Twilio's own builder.

Pure: values in, XML text out. Words for the caller are plain spoken English. A document after `<Connect>` always ends
in `<Hangup/>`: a `<Pause>` there leaves the caller on a dead line.
"""

from functools import lru_cache
from xml.sax.saxutils import quoteattr

from twilio.twiml.voice_response import Connect, Dial, Gather, Stream, VoiceResponse

from actors.endings.transfer import DIAL_SECONDS, say_and_end

BUSY = "Thank you for calling. All of our lines are busy at the moment. Please try again in a few minutes. Goodbye."
CLOSING = "Thank you for calling. We cannot take a new call right now. Please try again in a few minutes. Goodbye."
LOST = "I am sorry, we lost the connection on our side."
GOODBYE = "Please call us again. Goodbye."

KEY_SECONDS = 8
PRESS = "Press 1 to take the call."


_PLACE = "place of the token"
_KEPT = 64
"""Documents: two for each line that has a notice of its own."""


def connect_stream(origin: str, socket_url: str, token: str, *, again: bool = False, notice: str = "") -> str:
    """Connect the call to our media stream; `action` and `statusCallback` go to `origin`.

    `again` if the call has lost a stream before: `action` is told so. `notice` is said first, and to its end.
    """
    before, _, after = _connecting(origin, socket_url, again, notice).rpartition(quoteattr(_PLACE))
    return before + quoteattr(token) + after


@lru_cache(_KEPT)
def _connecting(origin: str, socket_url: str, again: bool, notice: str) -> str:
    """Write the document that connects a call, with `_PLACE` for its token."""
    response = VoiceResponse()
    if notice:
        response.say(notice)
    connect = Connect(action=f"{origin}/twilio/after{'?again=1' if again else ''}")
    stream = Stream(url=socket_url, status_callback=f"{origin}/twilio/stream")
    stream.parameter(name="token", value=_PLACE)
    connect.append(stream)
    response.append(connect)
    response.hangup()
    return str(response)


def apologise(fallback: str | None, line: str) -> str:
    """Say that we lost the caller, then dial the fallback number if there is one, else end the call."""
    return say_and_end(LOST if fallback else f"{LOST} {GOODBYE}", dial=fallback or "", line=line)


def put_through(origin: str, number: str, line: str, call_sid: str, *, whispers: bool) -> str:
    """Dial a person from our line; with `whispers` they first hear an introduction, and press a key."""
    response = VoiceResponse()
    dial = Dial(action=f"{origin}/twilio/dialled", answer_on_bridge=True, caller_id=line or None, timeout=DIAL_SECONDS)
    if whispers:
        dial.number(number, url=f"{origin}/twilio/whisper?call={call_sid}")
    else:
        dial.number(number)
    response.append(dial)
    response.hangup()
    return str(response)


def whisper(origin: str, call_sid: str, words: str) -> str:
    """Say the introduction to the person alone, and ask for a key; without it, they are not connected."""
    response = VoiceResponse()
    gather = Gather(action=f"{origin}/twilio/accepted?call={call_sid}", input="dtmf", num_digits=1, timeout=KEY_SECONDS)
    gather.say(f"{words} {PRESS}")
    response.append(gather)
    response.hangup()
    return str(response)


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def nothing() -> str:
    """Do nothing more: the call is over."""
    return str(VoiceResponse())
