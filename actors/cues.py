"""What the session on the floor says because the switchboard wants it said, in the agent's own voice.

`Cues` is a child of each session. It waits for the prompter, for a pause, and for the floor, has the service speak, and
ends the session when the last sentence of the call has been heard. A cue that the session does not live to carry out
stays with the prompter, for the next one. It never decides that a call ends.
"""

import attrs
import trio

from actors.agent_wire import AgentWire
from actors.desk import Desk
from actors.facts import GoodbyeHeard, GoodbyeStarted
from actors.messages import Ended
from actors.patience import Patience
from actors.prompter import Closing
from actors.reply import Reply, Voice
from actors.tape import TapeReader
from agents.spec import AgentSpec
from protocol.deepgram import InjectAgentMessage, InjectionBehavior

_CLOSING = "the closing sentence"


@attrs.define(eq=False)
class Cues:
    """One session's. `goodbyes` is what it says that no barge-in may cut."""

    desk: Desk
    agent: AgentSpec
    voice: Voice
    wire: AgentWire
    reader: TapeReader
    patience: Patience
    goodbyes: set[str]
    _last: Reply | None = attrs.field(default=None, init=False)
    _begun: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> Ended:
        """Carry out what is asked until the call is to end; return when its last sentence has been heard."""
        return await self._close(await self.desk.prompter.wait_closing())

    @property
    def is_closing(self) -> bool:
        """Whether the last sentence is being said: what comes besides is not heard, and answers nothing."""
        return _CLOSING in self.goodbyes

    def on_agent_text(self, text: str, reply: Reply) -> None:
        """Take note of a sentence of the agent's that the caller will hear."""
        closing = self.desk.prompter.closing
        if closing is not None and self.is_closing and text and closing.sentence.startswith(text):
            self._last = reply
            self._begun.set()
            self.desk.prompter.begin()

    async def _close(self, closing: Closing) -> Ended:
        interrupts = closing.go is not None or not await self._is_pause(closing.within / 2)
        while self.desk.ledger.floor is not self.voice:
            await self.desk.ledger.wait_floor()
        if self.goodbyes and closing.go is None:  # the agent's own, which will end the session
            self.desk.prompter.begin()
            await trio.sleep_forever()
        self.goodbyes.add(_CLOSING)
        self.reader.hold()  # who speaks now is heard no more, and cannot cut it
        self.patience.end()
        if closing.go is not None:
            await self._hush_until(closing.go)
        self.desk.journal.note(GoodbyeStarted(self.agent.name, closing.outcome))
        await self._say_last(closing.sentence, interrupts=interrupts)
        self.desk.journal.note(GoodbyeHeard(self.agent.name, await self._hear_last()))
        return Ended(closing.outcome, closing.outcome)

    async def _hush_until(self, go: trio.Event) -> None:
        self.voice.is_hushed = True
        self.desk.ledger.interrupt(self.voice)
        await go.wait()
        self.voice.is_hushed = False

    async def _say_last(self, sentence: str, *, interrupts: bool) -> None:
        """Say it after what is being said; where nothing comes of that, instead of it.

        What is queued may be refused while the service hears the caller (Deepgram reference, section 3.5).
        """
        if not interrupts:
            await self._inject(sentence, "queue")
            with trio.move_on_after(self.desk.policy.goodbye_onset):
                await self._begun.wait()
                return
        self.desk.ledger.flush()
        await self._inject(sentence, "interrupt")
        await self._begun.wait()

    async def _hear_last(self) -> bool:
        """Wait until the sentence has been received and played, and let nothing be heard that follows it."""
        ledger, policy, last = self.desk.ledger, self.desk.policy, self._last
        if last is None:
            return False
        received = -1
        while not (last.whole or last.closed) and last.received > received:  # as long as more of it comes
            received = last.received
            with trio.move_on_after(policy.goodbye_audio):
                await ledger.wait_received(last)
        self.voice.is_hushed = self.voice.is_muted = True
        ledger.end_reply(self.voice)
        with trio.move_on_after(ledger.unplayed + policy.goodbye_grace):
            await last.ended.wait()
        return last.complete

    async def _inject(self, sentence: str, behavior: InjectionBehavior) -> None:
        self.desk.ledger.unmute(self.voice)
        await self.wire.send(InjectAgentMessage(sentence, behavior))

    async def _is_pause(self, seconds: float) -> bool:
        """Wait so long for a pause; tell whether there was one."""
        with trio.move_on_after(seconds) as waiting:
            await self._wait_pause()
        return not waiting.cancelled_caught

    async def _wait_pause(self) -> None:
        """Wait until nobody speaks, and no answer is owed."""
        ledger, activity = self.desk.ledger, self.desk.activity
        while True:
            if not self.patience.is_closed:
                await self.patience.wait_closed()
            elif ledger.unplayed:
                await trio.sleep(ledger.unplayed)
            elif activity.began is not None:
                await activity.wait_spoken()
            else:
                return
