"""A call's TwiML, acted out: documents fetched, verbs executed one after another, redirects obeyed.

`Performance` owns what the call is doing right now: one media stream, or one verb of Twilio's own. `redirect` ends
that and goes on with another document, as `POST Calls/{sid}` does: a stream gets `stop` and is closed, later verbs of
the old document never run. A document that cannot be had or read is Twilio's "application error", spoken to the caller.
Facts: https://www.twilio.com/docs/voice/twiml/connect, https://www.twilio.com/docs/voice/twiml/stream.
"""

from typing import Final, assert_never
from urllib.parse import urlsplit

import attrs
import trio

from simulators.speech import synthesise
from simulators.twilio.dialling import StreamError
from simulators.twilio.exchange import OngoingCall
from simulators.twilio.frames import StreamIdentity
from simulators.twilio.human import DEFAULT_VOICE, HumanLeg
from simulators.twilio.log import CallerHungUp, VerbExecuted, WarningRaised
from simulators.twilio.media import MediaCaller
from simulators.twilio.playout import Playout
from simulators.twilio.twiml import (
    CallOver,
    Connect,
    Dial,
    Document,
    Gather,
    Hangup,
    IgnoredVerb,
    NextVerb,
    Outcome,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    StreamNoun,
    TwimlError,
    Verb,
    parse_twiml,
)

APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."
PLAY_LASTS: Final = 1.0


@attrs.define(eq=False)
class Performance:
    """The TwiML of one call, verb by verb."""

    call: OngoingCall
    media: MediaCaller | None = attrs.field(default=None, init=False)
    caller_gone: bool = attrs.field(default=False, init=False)
    """The caller hung up: nothing can be executed any more."""
    _redirected: Document | None = attrs.field(default=None, init=False)
    _verb: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    def redirect(self, document: Document) -> None:
        """Leave whatever runs now and execute this document instead."""
        self._redirected = document
        if self.media is not None:
            self.media.stop()
        else:
            self._verb.cancel(reason="the call was redirected")

    async def play(self, document: Document, verbs: tuple[Verb, ...] | None = None) -> None:
        """Execute a document (already read, if `verbs` are given), and what it leads to, until the call is over."""
        outcome: Outcome = document
        while isinstance(outcome, Document):
            verbs = await self.read(outcome) if verbs is None else verbs
            outcome, verbs = await self._perform(verbs), None
            if self._redirected is not None and not isinstance(outcome, CallOver):
                outcome, self._redirected = self._redirected, None
        if self.call.heard is not None:
            self.call.heard.level(trio.current_time())

    async def read(self, document: Document) -> tuple[Verb, ...]:
        """Fetch and read a document; one that cannot be had or read becomes the spoken application error."""
        text, base = document.text, document.base_url
        try:
            if document.url:
                text, base = await self._fetch(document)
            return parse_twiml(text, base)
        except TwimlError as error:
            self._warn(error.code, str(error))
            return (Say(APPLICATION_ERROR), Hangup())

    @staticmethod
    def rejection(verbs: tuple[Verb, ...]) -> str:
        """Return the reason when the document begins by rejecting the call, else ""."""
        match verbs:
            case (Reject(reason=reason), *_):
                return reason
            case _:
                return ""

    async def _fetch(self, document: Document) -> tuple[str, str]:
        call = self.call
        answer = await call.exchange.webhooks.send(call.log, "voice", document.url, call.parameters(), document.method)
        if not answer.is_ok and call.order.fallback_url:
            error = {"ErrorCode": "11200", "ErrorUrl": document.url}
            params = call.parameters() | error
            answer = await call.exchange.webhooks.send(call.log, "fallback", call.order.fallback_url, params)
        if not answer.is_ok:
            raise TwimlError(11200 if answer.status else 11205, f"the webhook answered {answer.status}")
        return answer.text, answer.url

    async def _perform(self, verbs: tuple[Verb, ...]) -> Outcome:
        outcome: Outcome = NextVerb()
        for verb in verbs:
            if self._redirected is not None:
                break
            with trio.CancelScope() as self._verb:
                outcome = await self._execute(verb)
            if not isinstance(outcome, NextVerb):
                break
        return outcome

    async def _execute(self, verb: Verb) -> Outcome:
        match verb:
            case Connect():
                return await self._connect(verb)
            case Say(text=text):
                return await self._say(text)
            case Dial():
                return await self._dial(verb)
            case Redirect(url=url):
                return Document(url=url)
            case Hangup() | Reject():
                self._note("Hangup", "")
                return CallOver()
            case Play() | Pause() | Gather() | IgnoredVerb():
                return await self._pass(verb)
            case _:
                assert_never(verb)

    async def _pass(self, verb: Play | Pause | Gather | IgnoredVerb) -> Outcome:
        match verb:
            case Play(url=url, digits=digits):
                self._note("Play", digits or url)
                await trio.sleep(PLAY_LASTS)
            case Pause(length=length):
                self._note("Pause", f"{length:g}")
                await trio.sleep(length)
            case Gather():
                self._note("Gather", "ignored")
            case IgnoredVerb(name=name):
                self._note(name, "ignored")
        return NextVerb()

    async def _say(self, text: str) -> Outcome:
        self._note("Say", text)
        recording = self.call.recording()
        audio = synthesise(text, DEFAULT_VOICE).audio
        Playout(recording).append(trio.current_time(), audio)
        try:
            await trio.sleep_until(recording.time_of(len(recording.agents)))
        finally:
            recording.level(trio.current_time())
        return NextVerb()

    async def _dial(self, verb: Dial) -> Outcome:
        call, leg = self.call, HumanLeg(self.call, verb)
        waits = call.exchange.human.caller_waits
        with trio.move_on_after(float("inf") if waits is None else waits) as patience:
            await leg.run()
        self._note("Dial", f"{verb.number} {leg.how}")
        if patience.cancelled_caught:
            self.caller_gone = True
            call.log.put(CallerHungUp(trio.current_time()))
        params = leg.parameters() | ({"CallStatus": "completed"} if self.caller_gone else {})
        after = await self._ask_action(verb.action, params) if verb.action else NextVerb()
        return CallOver() if self.caller_gone else after

    async def _connect(self, verb: Connect) -> Outcome:
        noun, stream_sid = verb.stream, self.call.exchange.new_sid("MZ")
        try:
            hung_up = await self._stream(noun, stream_sid)
        except StreamError as error:
            self._warn(error.code, str(error))
            await self._report_stream(noun, stream_sid, "stream-error", StreamError=str(error))
            hung_up = False
        if hung_up:
            if verb.action:
                await self._ask_action(verb.action, {"CallStatus": "completed"})
            return CallOver()
        if self._redirected is not None or not verb.action:
            return NextVerb()
        return await self._ask_action(verb.action, {})

    async def _stream(self, noun: StreamNoun, stream_sid: str) -> bool:
        exchange, call = self.call.exchange, self.call
        url = self._stream_url(noun.url)
        headers = [
            (b"x-twilio-signature", exchange.webhooks.sign(noun.url, {}).encode()),
            (b"user-agent", b"Twilio.TmeWs/1.0"),
        ]
        async with exchange.dial(url, headers) as socket:
            identity = StreamIdentity(exchange.account_sid, call.sid, stream_sid, noun.parameters)
            self.media = MediaCaller(
                socket,
                call.turns,
                identity,
                exchange.faults,
                call.log,
                self.call.recording(),
                close_deadline=exchange.knobs.stream_close_deadline,
                bundle=exchange.knobs.bundle,
            )
            if call.streams:
                call.turns.listen_again()
            await self._report_stream(noun, stream_sid, "stream-started")
            try:
                summary = await self.media.run()
            finally:
                self.media = None
            self.caller_gone = summary.how == "hung up"
        call.streams.append(summary)
        await self._report_stream(noun, stream_sid, "stream-stopped")
        return self.caller_gone

    def _stream_url(self, url: str) -> str:
        knobs, parts = self.call.exchange.knobs, urlsplit(url)
        if parts.scheme != "wss" and (knobs.requires_wss or parts.scheme != "ws"):
            raise StreamError(31922, f"scheme {parts.scheme!r} is not wss")
        if parts.query:
            raise StreamError(31920, "a stream URL must not have a query string")
        return parts._replace(scheme="ws").geturl() if knobs.dials_plaintext else url

    async def _report_stream(self, noun: StreamNoun, stream_sid: str, event: str, **extra: str) -> None:
        if noun.status_callback:
            params = {
                "AccountSid": self.call.exchange.account_sid,
                "CallSid": self.call.sid,
                "StreamSid": stream_sid,
                "StreamName": noun.name or stream_sid,
                "StreamEvent": event,
                "Timestamp": self.call.exchange.now().isoformat().replace("+00:00", "Z"),
            }
            await self.call.exchange.webhooks.send(self.call.log, event, noun.status_callback, params | extra)

    async def _ask_action(self, url: str, params: dict[str, str]) -> Outcome:
        answer = await self.call.exchange.webhooks.send(self.call.log, "action", url, self.call.parameters() | params)
        if not answer.is_ok:
            self._warn(11200 if answer.status else 11205, f"the action URL answered {answer.status}")
            return Document(f"<Response><Say>{APPLICATION_ERROR}</Say></Response>")
        return Document(answer.text, base_url=answer.url)

    def _note(self, verb: str, detail: str) -> None:
        self.call.log.put(VerbExecuted(trio.current_time(), verb, detail))

    def _warn(self, code: int, why: str) -> None:
        self.call.log.put(WarningRaised(trio.current_time(), code, why))
