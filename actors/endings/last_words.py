"""Builds the TwiML for the end of a call that no agent can carry on."""

from twilio.twiml.voice_response import Dial, VoiceResponse

DIAL_SECONDS = 20


def say_and_end(words: str, *, dial: str = "", line: str = "") -> str:
    """Say something, then dial a number if there is one, from our own `line`, and end the call.

    Without a line the caller's own number would be shown, and the person dialled may refuse one that is withheld
    (https://www.twilio.com/docs/api/errors/13214).
    """
    response = VoiceResponse()
    response.say(words)
    if dial:
        dialling = Dial(caller_id=line or None, timeout=DIAL_SECONDS)
        dialling.number(dial)
        response.append(dialling)
    response.hangup()
    return str(response)
