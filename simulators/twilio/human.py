"""The person that a call is put through to: the phone rings, a whisper says who calls, they are connected or not.

`HumanLeg` owns one child call of a `<Dial>`, from the first ring to the hang-up. The TwiML at the `url` of `<Number>`
is acted out on it before the two are connected: what is said there the caller does not hear, a key pressed goes to the
`action` of `<Gather>`, and a document that ends without `<Hangup/>` connects them. It raises nothing; what the server
does wrong there costs the leg.
Facts: https://www.twilio.com/docs/voice/twiml/number#attributes-url, https://www.twilio.com/docs/voice/twiml/dial#action.
"""

import attrs
import trio

from protocol.audio import BYTES_PER_SECOND
from simulators.scenario import Human
from simulators.speech import synthesise
from simulators.twilio.exchange import OngoingCall
from simulators.twilio.log import PersonActed, VerbExecuted, WarningRaised
from simulators.twilio.playout import Playout
from simulators.twilio.twiml import (
    CallOver,
    Dial,
    Document,
    Gather,
    Hangup,
    NextVerb,
    Outcome,
    Pause,
    Redirect,
    Reject,
    Say,
    TwimlError,
    Verb,
    parse_twiml,
)

DEFAULT_VOICE = "twilio-say"


@attrs.define(eq=False)
class HumanLeg:
    """One person's side of a `<Dial>`; `run` it once."""

    call: OngoingCall
    verb: Dial
    sid: str = attrs.field(init=False)
    how: str = attrs.field(default="no-answer", init=False)
    """`answered` (and connected), `declined`, `busy`, `no-answer`, `failed`."""
    _answered_at: float | None = attrs.field(default=None, init=False)
    _connected: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.sid = self.call.exchange.new_sid("CA")

    @property
    def human(self) -> Human:
        return self.call.exchange.human

    async def run(self) -> None:
        """Ring, whisper and talk, as far as it goes. *Cancellation*: the caller hung up, or was redirected."""
        human = self.human
        if human.answers == "no-answer" or human.after > self.verb.timeout:
            await trio.sleep(self.verb.timeout)
            return
        await trio.sleep(human.after)
        if human.answers != "human":
            self.how = human.answers
            return
        self._answered_at = trio.current_time()
        self.how = "declined"
        self._act("answered")
        with trio.move_on_after(float("inf") if human.hangs_up_after is None else human.hangs_up_after) as patience:
            await self._whisper_and_talk()
        if patience.cancelled_caught:
            self._act("hung up")

    def parameters(self) -> dict[str, str]:
        """Return what the `action` of the `<Dial>` is told."""
        declined = self.how == "declined"
        status = "completed" if self._connected else self.call.exchange.knobs.declined_status if declined else self.how
        lasted = 0.0 if self._answered_at is None else trio.current_time() - self._answered_at
        return {
            "DialCallSid": self.sid,
            "DialCallStatus": status,
            "DialCallDuration": str(round(lasted)),
            "DialBridged": "true" if self._connected else "false",
        }

    async def _whisper_and_talk(self) -> None:
        if self.verb.whisper and not await self._is_accepted():
            return
        self.how, self._connected = "answered", True
        self._act("was connected")
        recording = self.call.recording()
        spoken = synthesise(self.human.says, self.human.voice).audio if self.human.says else b""
        Playout(recording).append(trio.current_time(), spoken)
        try:
            await trio.sleep(max(self.human.talks, len(spoken) / BYTES_PER_SECOND))
        finally:
            recording.level(trio.current_time())
        self._act("hung up")

    async def _is_accepted(self) -> bool:
        page: Outcome = await self._fetch(self.verb.whisper, {})
        while isinstance(page, Document):
            try:
                verbs = parse_twiml(page.text, page.base_url)
            except TwimlError as error:
                self._warn(error.code, str(error))
                return False
            page = await self._perform(verbs)
        return isinstance(page, NextVerb)

    async def _perform(self, verbs: tuple[Verb, ...]) -> Outcome:
        for verb in verbs:
            went = await self._execute(verb)
            if not isinstance(went, NextVerb):
                return went
        return NextVerb()

    async def _execute(self, verb: Verb) -> Outcome:
        match verb:
            case Say(text=text):
                self.call.log.put(VerbExecuted(trio.current_time(), "Whisper", text))
                await trio.sleep(len(synthesise(text, DEFAULT_VOICE).audio) / BYTES_PER_SECOND)
            case Gather():
                return await self._gather(verb)
            case Pause(length=length):
                await trio.sleep(length)
            case Redirect(url=url):
                return await self._fetch(url, {})
            case Hangup() | Reject():
                return CallOver()
            case _:
                pass  # nothing that belongs into a whisper
        return NextVerb()

    async def _gather(self, verb: Gather) -> Outcome:
        """Ask for a key. Somebody who presses one does so when they have heard what is said."""
        went = await self._perform(verb.verbs)
        if not isinstance(went, NextVerb):
            return went
        if self.human.presses == "nothing":
            await trio.sleep(verb.timeout)
            return NextVerb()
        self._act(f"pressed {self.human.presses}")
        return await self._fetch(verb.action or self.verb.whisper, {"Digits": self.human.presses})

    async def _fetch(self, url: str, more: dict[str, str]) -> Document | CallOver:
        answer = await self.call.exchange.webhooks.send(self.call.log, "whisper", url, self._fields() | more)
        if not answer.is_ok:
            self._warn(11200 if answer.status else 11205, f"the whisper answered {answer.status}")
            return CallOver()
        return Document(answer.text, base_url=answer.url)

    def _fields(self) -> dict[str, str]:
        return {
            "AccountSid": self.call.exchange.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.sid,
            "ParentCallSid": self.call.sid,
            "CallStatus": "in-progress",
            "Direction": "outbound-dial",
            "From": self.verb.caller_id or self.call.order.from_,
            "To": self.verb.number,
        }

    def _act(self, did: str) -> None:
        self.call.log.put(PersonActed(trio.current_time(), did))

    def _warn(self, code: int, why: str) -> None:
        self.call.log.put(WarningRaised(trio.current_time(), code, why))
