"""What the session on the floor says because the switchboard wants it said, in the agent's own voice.

`Cues` is a child of each session. It waits for the prompter, for a pause, and for the floor, has the service speak, or
tells it what was pressed, and ends the session when the last sentence of the call has been heard. A cue that the
session does not live to carry out stays with the prompter, for the next one. It never decides that a call ends.
"""

from collections.abc import Awaitable, Callable, Collection

import attrs
import trio

from actors.agent_wire import AgentWire
from actors.caller_silence import CallerMinder
from actors.desk import Desk
from actors.facts import GoodbyeHeard, GoodbyeStarted, SessionSpent
from actors.keypad import masked, told
from actors.messages import Ended, Spent, ToSummarizer
from actors.patience import Patience
from actors.prompter import Closing
from actors.reply import Reply, Voice
from actors.tape import TapeReader
from actors.transfer import put_through
from agents.functions import TransferToHuman
from agents.spec import AgentSpec
from protocol.deepgram import InjectAgentMessage, InjectionBehavior, InjectUserMessage

_LOOK_AGAIN = 1.0
_PUT_THROUGH = "the sentence before a transfer"
CLOSING = "the closing sentence"
"""A goodbye like the agent's own: while it is said, what comes besides is not heard, and answers nothing."""
_LONGEST_REPLY = 10.0
"""Seconds: a remark waits no longer for a pause."""
_LATEST_TRANSCRIPT = 5.0
"""After the last word: Flux ends a turn by then (`eot_timeout_ms`, Deepgram reference, section 5.3)."""
_LONGEST_TURN = 60.0
"""From the first word: who is heard for longer without a transcript is a noise."""


@attrs.define(eq=False)
class Signs:
    """What the service has said of the caller, and of itself: the session writes it down."""

    speech_began: float | None = None
    """Since when (trio time) it hears the caller, of whom it has transcribed nothing yet."""
    aged: trio.Event = attrs.field(factory=trio.Event)
    """The session nears the longest that the service allows."""
    _understood: trio.Event = attrs.field(factory=trio.Event, init=False)

    def hear(self) -> None:
        """The service hears the caller."""
        self.speech_began = trio.current_time()

    def understand(self) -> None:
        """It has transcribed what it heard, be it nothing."""
        self.speech_began = None
        self._understood.set()
        self._understood = trio.Event()

    async def wait_understood(self) -> None:
        """Wait until it has transcribed something."""
        await self._understood.wait()


@attrs.define(eq=False)
class Cues:
    """One session's.

    `goodbyes` is what it says that no barge-in may cut; `functions` are those of ours that the model waits for;
    `note_turn` notes what the model is told as the caller's words, and what others may know of it; `echoes` are the
    texts that the service will say back.
    """

    desk: Desk
    agent: AgentSpec
    voice: Voice
    wire: AgentWire
    reader: TapeReader
    patience: Patience
    goodbyes: set[str]
    functions: Collection[int]
    signs: Signs
    echoes: list[str]
    note_turn: Callable[[str, str], Awaitable[None]]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    _rest: str = attrs.field(default="", init=False)
    """What is to be heard to its end, as far as it has not been begun."""
    _last: Reply | None = attrs.field(default=None, init=False)
    _begun: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self, seat: int, over: trio.MemorySendChannel[Ended | Spent]) -> None:
        """Carry out what is asked until the call is to end, and say `over` when its last sentence has been heard."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on_keys)
            nursery.start_soon(self._pass_on_remarks)
            nursery.start_soon(self._caller_minder().run)
            nursery.start_soon(self._retire, seat, over)
            closing = await self.desk.prompter.wait_closing()
            nursery.cancel_scope.cancel(reason="the call is to end")
        await over.send(await self._close(closing))

    def on_agent_text(self, text: str, reply: Reply) -> None:
        """Take note of a sentence of the agent's that the caller will hear."""
        rest = self._rest.lstrip()
        if text and rest.startswith(text):
            self._rest, self._last = rest[len(text) :], reply
            self._begun.set()

    def _caller_minder(self) -> CallerMinder:
        return CallerMinder(
            desk=self.desk,
            agent=self.agent.name,
            patience=self.patience,
            speaks_until=self._speaks_until,
            is_busy=lambda: bool(self.functions),
            say=self._ask_caller,
        )

    async def _retire(self, seat: int, over: trio.MemorySendChannel[Ended | Spent]) -> None:
        """End a session that has become old when nobody would notice: while the caller thinks about an answer."""
        await self.signs.aged.wait()
        await self._wait_pause()
        self.desk.journal.note(SessionSpent(self.agent.name, seat))
        await over.send(Spent())

    # What is asked in the course of a call

    async def _pass_on_keys(self) -> None:
        """Tell the agent what was pressed, behind its own opening."""
        await self._wait_opening()
        while True:
            await self.desk.prompter.wait_keys()
            if self.desk.ledger.floor is not self.voice:
                await self.desk.ledger.wait_floor()
                continue
            keys, policy = self.desk.prompter.take_keys(), self.desk.policy
            text, why = told(keys, policy.human_digit), ""
            if keys == (policy.human_digit,) and self.desk.switch.transfers is not None and not self.functions:
                why = f" {await self._put_through()}"
            await self._tell(text + why, text + why if policy.keep_digits else masked(keys))

    async def _tell(self, text: str, shown: str) -> None:
        self.echoes.append(text)
        await self.note_turn(text, shown)
        await self.wire.send(InjectUserMessage(text))

    async def _put_through(self) -> str:
        """Put a caller through who has asked for a person by a key; return why it could not be done."""

        async def hear() -> None:
            self.patience.end()
            self.goodbyes.add(_PUT_THROUGH)
            try:
                with trio.move_on_after(2 * self.desk.policy.goodbye_onset):
                    await self._say_to_the_end(self.desk.policy.putting_through, interrupts=True)
                await self._hear_to_the_end()
            finally:
                self.goodbyes.discard(_PUT_THROUGH)

        wanted = TransferToHuman(f"The caller pressed {self.desk.policy.human_digit} for a person")
        return await put_through(self.desk, self.agent, wanted, hear, self.summarizer)

    async def _pass_on_remarks(self) -> None:
        while True:
            await self.desk.prompter.wait_remark()
            await self._is_pause(_LONGEST_REPLY)
            if self.desk.ledger.floor is not self.voice:
                await self.desk.ledger.wait_floor()
            elif text := self.desk.prompter.take_remark():
                await self._say(text)

    async def _ask_caller(self, text: str) -> None:
        """Have the agent ask whether they are there: who does not even say that is gone itself."""
        self.patience.ask()
        await self._say(text)

    async def _say(self, text: str) -> None:
        await self._inject(text, "queue")

    # The last sentence

    async def _close(self, closing: Closing) -> Ended:
        interrupts = closing.go is not None or not await self._is_pause(closing.within / 2)
        while self.desk.ledger.floor is not self.voice:
            await self.desk.ledger.wait_floor()
        if self.goodbyes and closing.go is None:  # the agent's own, which will end the session
            self.desk.prompter.begin()
            await trio.sleep_forever()
        self.goodbyes.add(CLOSING)
        self.reader.hold()  # who speaks now is heard no more, and cannot cut it
        self.patience.end()
        if closing.go is not None:
            await self._hush_until(closing.go)
        self.desk.journal.note(GoodbyeStarted(self.agent.name, closing.outcome))
        await self._say_to_the_end(closing.sentence, interrupts=interrupts)
        self.desk.prompter.begin()
        self.desk.journal.note(GoodbyeHeard(self.agent.name, await self._hear_last()))
        return Ended(closing.outcome, closing.outcome)

    async def _hush_until(self, go: trio.Event) -> None:
        self.voice.is_hushed = True
        self.desk.ledger.interrupt(self.voice)
        await go.wait()
        self.voice.is_hushed = False

    async def _hear_last(self) -> bool:
        """Wait until the sentence has been received and played, and let nothing be heard that follows it."""
        last = await self._receive_to_the_end()
        self.voice.is_hushed = self.voice.is_muted = True
        self.desk.ledger.end_reply(self.voice)
        return await self._play_to_the_end(last)

    # A sentence, heard to its end

    async def _say_to_the_end(self, sentence: str, *, interrupts: bool) -> None:
        """Say it after what is being said; where nothing comes of that, instead of it.

        What is queued may be refused while the service hears the caller (Deepgram reference, section 3.5).
        """
        self._rest, self._last, self._begun = sentence, None, trio.Event()
        if not interrupts:
            await self._inject(sentence, "queue")
            with trio.move_on_after(self.desk.policy.goodbye_onset):
                await self._begun.wait()
                return
        self.desk.ledger.flush()
        await self._inject(sentence, "interrupt")
        await self._begun.wait()

    async def _hear_to_the_end(self) -> bool:
        """Wait until it has been received and played; tell whether all of it was."""
        return await self._play_to_the_end(await self._receive_to_the_end())

    async def _receive_to_the_end(self) -> Reply | None:
        """Wait for all of it: a reply, or more of them if the service takes a breath between two sentences."""
        ledger, policy, last, received = self.desk.ledger, self.desk.policy, self._last, -1
        while last is not None and not (last.whole or last.closed) and last.received > received:  # as long as it comes
            received = last.received
            with trio.move_on_after(policy.goodbye_audio):
                await ledger.wait_received(last)
        with trio.move_on_after(policy.goodbye_onset):
            while last is not None and self._rest.strip() and self._last is last:
                await ledger.wait_change()
        return last if self._last is last else await self._receive_to_the_end()

    async def _play_to_the_end(self, last: Reply | None) -> bool:
        if last is None:
            return False
        with trio.move_on_after(self.desk.ledger.unplayed + self.desk.policy.goodbye_grace):
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

    # When

    def _speaks_until(self) -> float:
        """Return when the caller is through, if nothing more is heard of them: by what the service says, and the line.

        What the service took for speech and never transcribes was none.
        """
        activity, keypad = self.desk.activity, self.desk.keypad
        if self.signs.speech_began is None:
            return keypad.busy_until
        now, latest = trio.current_time(), self.signs.speech_began + _LONGEST_TURN
        last = now if activity.began is not None else self.desk.journal.started + activity.last
        return max(min(last + _LATEST_TRANSCRIPT, latest), keypad.busy_until)

    async def _wait_opening(self) -> None:
        """Wait until the first word that the session owes has been heard."""
        await self.patience.wait_closed()
        await trio.sleep(self.desk.ledger.unplayed)

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
            elif (until := self._speaks_until()) > trio.current_time():
                with trio.move_on_at(until):
                    await self.signs.wait_understood()
            elif self.functions:
                await trio.sleep(_LOOK_AGAIN)
            else:
                return
