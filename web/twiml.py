"""What Twilio is told to do with a call: the few TwiML documents of this server, made by Twilio's own builder.

Pure: values in, XML text out. Words for the caller are plain spoken English. A document after `<Connect>` always ends
in `<Hangup/>`: a `<Pause>` there leaves the caller on a dead line.
"""

from collections.abc import Mapping

from twilio.twiml.voice_response import Connect, Dial, Stream, VoiceResponse

BUSY = "Thank you for calling. All of our lines are busy at the moment. Please try again in a few minutes. Goodbye."
CLOSING = "Thank you for calling. We cannot take a new call right now. Please try again in a few minutes. Goodbye."
LOST = "I am sorry, we lost the connection on our side."
GOODBYE = "Please call us again. Goodbye."


def connect_stream(origin: str, socket_url: str, parameters: Mapping[str, str]) -> str:
    """Connect the call to our media stream; `action` and `statusCallback` go to `origin`."""
    response = VoiceResponse()
    connect = Connect(action=f"{origin}/twilio/after")
    stream = Stream(url=socket_url, status_callback=f"{origin}/twilio/stream")
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
    connect.append(stream)
    response.append(connect)
    response.hangup()
    return str(response)


def say_and_hang_up(words: str) -> str:
    """Say something and end the call."""
    response = VoiceResponse()
    response.say(words)
    response.hangup()
    return str(response)


def apologise(fallback: str | None, line: str) -> str:
    """Say that we lost the caller, then dial the fallback number if there is one, else end the call."""
    response = VoiceResponse()
    response.say(LOST if fallback else f"{LOST} {GOODBYE}")
    if fallback:
        dial = Dial(caller_id=line, timeout=20)
        dial.number(fallback)
        response.append(dial)
    response.hangup()
    return str(response)


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def nothing() -> str:
    """Do nothing more: the call is over."""
    return str(VoiceResponse())
