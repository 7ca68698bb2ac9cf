"""Carries out an operator's commands, each in a task of its own, until it knows what became of it.

`CommandRunner` belongs to one call. It touches no socket and takes no decision of the Supervisor's, of `Turn`'s or of
the line's: it asks them, as an agent's functions do, and waits for what follows. Every wait has a limit. What crashes
is an answer, too; a call that ends cancels it, and the book answers what is left: nothing is undone then.
`PersonOnPhone` is an operator on the floor, by the page's phone: hears the caller, and is heard, in place of an agent.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, assert_never

import attrs
import trio
from trio_websocket import ConnectionClosed

from actors.call_state import CallState
from actors.commands import (
    DONE,
    Action,
    ChangePrompt,
    Command,
    CommandAnswer,
    GiveBack,
    HandoffTo,
    RestartAgent,
    Say,
    TakeOver,
    TransferTo,
    Whisper,
    failed,
    refused,
)
from actors.facts import FloorLeft, FloorTaken
from actors.facts.handoff import HandoffKind
from actors.line.reply import Voice
from actors.line.switch import Wish
from actors.line.tape import TapeReader
from actors.messages import AskHandoff, TakeFloor
from actors.supervision import Crashed, Request, guard
from actors.turn.events import FunctionCancelled, HandoffWanted, RemarkMade, Signal
from actors.turn.state import Phase
from actors.turn_driver import SessionOnFloor, TurnDriver
from agents.functions import HandOff, TransferToHuman
from protocol import twilio
from protocol.errors import RemoteProtocolError
from protocol.twilio import MediaStreamDialogue, StreamState
from protocol.wire import PacedWebSocket
from store.records import OPERATOR

BY_OPERATOR: Final = "An operator has asked for it."
TAKEN_OVER: Final = "An operator takes the call over."
_TRIES: Final = 3
_NONSENSE: Final = 250
"""Frames in a row that cannot be read: five seconds of them."""
_NO_SESSION: Final = "no session has taken the floor {limit}"
_BUSY: Final[Mapping[Phase, str]] = {
    Phase.HANDING_OVER: "a handoff is under way",
    Phase.TRANSFERRING: "the caller is being put through",
    Phase.PUTTING_THROUGH: "the caller is being put through",
    Phase.ENDING: "the call is being ended",
    Phase.HUSHED: "a message is left on an answering machine",
    Phase.CLOSING: "the call is being ended",
    Phase.OVER: "the call is over",
    Phase.TAKEN_OVER: "an operator has taken the call over",
}


@attrs.define(eq=False)
class PersonOnPhone(Request):
    """One operator on one call, by the page's media stream, which speaks as Twilio's does. `converse` once.

    That is one turn of the Supervisor's loop: no session is there meanwhile, and nobody transcribes. It ends when the
    call is given back, or the page has gone. The code that accepted the socket closes it.
    """

    socket: PacedWebSocket
    stream_sid: str
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the operator is on the call no longer."""
    _left: trio.Event = attrs.field(factory=trio.Event, init=False)

    def refuse(self, why: str) -> None:
        super().refuse(why)
        self.over.set()

    def give_back(self) -> None:
        self._left.set()

    async def wait(self, done: Callable[[], Awaitable[None]]) -> bool:
        """Wait for something, while nobody hears the operator; return whether they are still there."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, lambda _: None)  # kept, it would be heard late, and all behind it as well
            await done()
            nursery.cancel_scope.cancel(reason="done")
        return not self._left.is_set()

    async def converse(self, state: CallState) -> int:
        """Talk with the caller; return the first frame of the caller's that the operator has not heard."""
        numbers, tape, voice = state.policy.numbers, state.tape, Voice(OPERATOR)
        reader = TapeReader(tape, tape.end, numbers.chunk_frames, numbers.replay_rate)
        state.ledger.grant(voice)
        state.journal.note(FloorTaken(OPERATOR, 0, reader.cursor))
        self.decided.set()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear_caller, reader, state.policy.deadlines.send_stall)
                nursery.start_soon(self._listen, partial(state.ledger.put, voice))
                await self._left.wait()
                nursery.cancel_scope.cancel(reason="given back")
        finally:
            reader.confirm()  # it was heard, though by nobody who writes it down
            state.ledger.withhold(voice)
            state.journal.note(FloorLeft(OPERATOR, 0, "given back"))
            self.over.set()
        return reader.cursor

    async def _hear_caller(self, reader: TapeReader, stall: float) -> None:
        with suppress(ConnectionClosed):
            patience = trio.CancelScope()
            while not patience.cancelled_caught:
                chunk = await reader.next_chunk()
                with trio.move_on_after(stall) as patience:
                    await self.socket.send_message(twilio.encode_media(self.stream_sid, chunk))
        self._left.set()

    async def _listen(self, take: Callable[[bytes], object]) -> None:
        """Have `take` take what the operator says, until they leave."""
        dialogue, refused = MediaStreamDialogue(StreamState.STREAMING, self.stream_sid), 0
        with suppress(ConnectionClosed):
            while refused < _NONSENSE:
                for frame in await self.socket.get_messages():
                    try:
                        event = dialogue.receive(frame)
                    except RemoteProtocolError:
                        refused += 1
                        continue
                    refused = 0
                    if isinstance(event, twilio.StreamStopped):
                        self._left.set()
                    elif isinstance(event, twilio.MediaArrived):
                        take(event.payload)
        self._left.set()


class _Refused(Exception):
    """The command cannot be carried out now; the message says why."""


@attrs.define(eq=False)
class CommandRunner:
    state: CallState
    agents: frozenset[str] = frozenset()
    _saying: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Sentences are said one after the other."""
    _phone: PersonOnPhone | None = attrs.field(default=None, init=False)
    """On which an operator has taken the call over last."""

    @property
    def _driver(self) -> TurnDriver:
        return self.state.turn

    async def carry_out(self, command: Command, phone: Request | None = None) -> None:
        ended = await guard(lambda: self._act(command, phone if isinstance(phone, PersonOnPhone) else None))
        if isinstance(ended, Crashed):
            self.state.note_crash("operator", ended.reason)
            self.state.commands.decide(command.id, failed(f"it crashed: {ended.reason}"))

    async def _act(self, command: Command, phone: PersonOnPhone | None) -> None:
        try:
            answer = await (self._answer(command) if phone is None else self._take_over(phone))
        except _Refused as why:
            answer = refused(str(why))
        self.state.commands.decide(command.id, answer)

    async def _answer(self, command: Command) -> CommandAnswer:
        action: Action = command.action
        match action:
            case Say(text=text):
                return await self._say(text, command.id)
            case Whisper() | ChangePrompt():
                return await self._amend(action)
            case HandoffTo():
                return await self._hand_off(action, command.id)
            case RestartAgent():
                return await self._restart()
            case TransferTo() | TakeOver():
                return await self._transfer(action, command.id)
            case GiveBack():
                return await self._give_back()
            case _:
                assert_never(action)

    # What all of them wait for

    async def _wait_until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that can only change with an event of the turn."""
        while not holds():
            await self._driver.wait_change()

    async def _done_once(self, holds: Callable[[], bool], limit: float, why_not: str) -> CommandAnswer:
        with trio.move_on_after(limit):
            await self._wait_until(holds)
            return DONE
        return failed(why_not.format(limit=f"within {limit:g} s"))

    def _why_not(self) -> str:
        """Say why the session on the floor cannot be moved; empty if it can."""
        turn, nobody = self._driver.turn, "" if self._driver.session is not None else "no agent has the floor just now"
        return "the call is being ended" if turn.closing is not None else _BUSY.get(turn.phase, nobody)

    def _session(self) -> SessionOnFloor:
        """Return the session on the floor of a call that converses. *Raises* `_Refused` without one."""
        session = self._driver.session
        if (why := self._why_not()) or session is None:
            raise _Refused(why)
        return session

    async def _work_done(self) -> None:
        """Let what an agent that may be moved is at work on be done first: it would end with its session."""
        with trio.move_on_after(self.state.policy.deadlines.restarted):
            await self._wait_until(lambda: not self._driver.turn.session.running or self._why_not())

    # To another agent, to another session of the same one, to a person

    async def _hand_off(self, wanted: HandoffTo, command_id: str) -> CommandAnswer:
        """Hand the call to an agent; it is done when that agent has the floor, and nothing has changed if it fails."""
        if wanted.to not in self.agents:
            return refused(f"there is no agent {wanted.to!r}; there are {', '.join(sorted(self.agents))}")
        await self._work_done()
        session, driver = self._session(), self._driver
        if session.agent.name == wanted.to:
            return refused(f"{wanted.to} has the floor already")
        can_be_soft = session.agent.hands_softly_to(wanted.to)
        if wanted.how == "soft" and not can_be_soft:
            return refused(f"the roster has no soft edge from {session.agent.name} to {wanted.to}")
        how: HandoffKind = "soft" if can_be_soft and wanted.how != "hard" else "hard"
        asked = AskHandoff(session.number, HandOff(wanted.to, wanted.reason or BY_OPERATOR, wanted.notes), how)
        name = f"operator {command_id}"  # for the turn: it is no function's
        driver.put(HandoffWanted(name))  # the agent is heard no further, as with its own function
        try:
            await self.state.ask_handoff(session, asked)
            await asked.decided.wait()
        finally:
            if driver.session is session and not (asked.decided.is_set() and asked.why is None):
                driver.put(FunctionCancelled(name))
        return DONE if asked.why is None else failed(asked.why)

    async def _restart(self) -> CommandAnswer:
        """Open another session for the agent on the floor; it is done when that has the floor, and goes on."""
        driver, limit = self._driver, self.state.policy.deadlines.restarted
        await self._work_done()
        session = self._session()
        driver.put(Signal.RESTART_WANTED)
        return await self._done_once(
            lambda: driver.session is not None and driver.session is not session, limit, _NO_SESSION
        )

    async def _transfer(self, wanted: TransferTo | TakeOver, command_id: str) -> CommandAnswer:
        """Tell the caller that they are put through, and ask the line for the person; of a take-over, the operator.

        Where the line does it, the stream ends, and the call's end says that it is done (`actors/call.py`).
        """
        switch = self.state.switch
        if switch.by_operator is None:
            return refused("no telephone network is behind this call")
        if not wanted.number and switch.transfers is None:
            return refused("no number is given, and none is set: TRANSFER_PHONE_NUMBER")
        session, comes_back = self._session(), isinstance(wanted, TakeOver)
        if switch.ordered is not None:
            return refused("another transfer is under way")
        reason, notes = (
            (TAKEN_OVER, "") if isinstance(wanted, TakeOver) else (wanted.reason or BY_OPERATOR, wanted.notes)
        )
        person = TransferToHuman(reason, notes, wanted.number)
        ordered = Wish(session.agent, person, command_id=command_id, comes_back=comes_back)
        switch.ordered = ordered
        self._driver.put(Signal.PERSON_WANTED)
        ended = await guard(partial(self._wait_refused, ordered))
        switch.ordered = None
        if not ordered.is_told:
            self._driver.put(Signal.PERSON_UNWANTED)
        if isinstance(ended, Crashed):
            raise ended.error
        return ended

    async def _wait_refused(self, ordered: Wish) -> CommandAnswer:
        with trio.move_on_after(self.state.policy.deadlines.remark_begun):
            await self._wait_until(lambda: ordered.is_told or self._driver.turn.closing is not None)
        if not ordered.is_told:
            return failed("no agent could tell the caller that they are put through")
        await ordered.wait_refused()
        return failed(ordered.cause or "another transfer took its place")

    # The page's phone

    async def _take_over(self, phone: PersonOnPhone) -> CommandAnswer:
        """Give the floor to the operator; it is done when the caller and the operator hear one another."""
        if why := self._why_not() if await phone.wait(self._work_done) else "the operator has left":
            phone.refuse(why)
            return refused(why)
        session = self._session()
        self._driver.put(Signal.TAKEN_OVER)
        self.state.amendments.note_person()
        self._phone = phone
        taken = TakeFloor(session.number, partial(phone.converse, self.state), phone.refuse)
        await self.state.mail.to_supervisor.send(taken)
        await phone.decided.wait()
        return DONE if phone.why is None else refused(phone.why)

    async def _give_back(self) -> CommandAnswer:
        """Have the agent take the caller back; it is done when a session has the floor."""
        driver, phone, limit = self._driver, self._phone, self.state.policy.deadlines.restarted
        if phone is None or phone.over.is_set():
            return refused("nobody has taken this call over")
        phone.give_back()
        return await self._done_once(lambda: phone.over.is_set() and driver.session is not None, limit, _NO_SESSION)

    # Words

    async def _say(self, text: str, command_id: str) -> CommandAnswer:
        """Have the agent on the floor say a sentence; it is done when the agent has begun, and the caller hears it."""
        turn, limit = self._driver.turn, self.state.policy.deadlines.remark_begun
        with trio.move_on_after(limit):
            async with self._saying:
                for _ in range(_TRIES):
                    answer = await self._try_to_say(text, command_id)
                    if answer is not None:
                        return answer
        if turn.remark is not None and turn.remark.id == command_id:
            self._driver.put(RemarkMade(""))  # it is not to come after the answer
        return failed(f"no agent has begun to say it within {limit:g} s")

    async def _try_to_say(self, text: str, command_id: str) -> CommandAnswer | None:
        """Return what became of the sentence; None if it was lost, with its session or to another remark."""
        driver, turn = self._driver, self._driver.turn
        await self._wait_until(lambda: turn.remark is None or turn.closing is not None)
        if turn.closing is not None or turn.phase is Phase.ENDING:
            return refused("the call is being ended")
        session = driver.session
        driver.put(RemarkMade(text, id=command_id))
        while turn.awaits_remark(command_id):
            session = driver.session or session
            await driver.wait_change()
        if turn.remark_begun == command_id:
            return DONE
        is_lost = session is not driver.session or turn.remark is not None
        return None if is_lost else failed("the service was asked to say it, and has not begun in time")

    async def _amend(self, action: Whisper | ChangePrompt) -> CommandAnswer:
        """Change what the agents are told; it is done when the session on the floor has it in its prompt."""
        agent, amendments, driver = self._driver.speaker, self.state.amendments, self._driver
        if agent is None:
            return refused("no agent has the floor yet")
        note, prompt = (action.text, "") if isinstance(action, Whisper) else ("", action.text)
        if not amendments.has_room_for(agent, note=note, prompt=prompt):
            return refused("the prompt is too long with it: the service would cut it")
        version = amendments.amend(agent.name, note=note, prompt=prompt)
        driver.amend()
        return await self._done_once(
            lambda: driver.session is not None and driver.session.amended >= version,
            self.state.policy.deadlines.amended,
            "no session has acknowledged it {limit}; the next one has it",
        )
