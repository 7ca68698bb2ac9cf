"""One call: the nursery in which its actors live, and the boundary at which its errors end.

`run_call` makes the shared state and the mailboxes, starts bridge, turn and Scribe, and runs the Supervisor in
the body of the nursery. The bridge's end is the call's end; the conversation's end is too. Whatever happens, when it
returns nothing of the call is left but its record. Its own errors stay here, logged; only cancellation passes through.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias, assert_never

import attrs
import structlog
import trio

from actors.call_services import CallPlan, CallServices, CallUnderWay, CallWatch, each_of
from actors.call_state import CallState
from actors.commands import DONE
from actors.endings.intercom import Attendant, mind_length
from actors.endings.machine import AnsweringMachine
from actors.endings.transfer import mind_transfers
from actors.facts import ActorCrashed, CallEnded, CallParked, CallResumed, CallStarted, WritingRefused
from actors.floor import Floor
from actors.journal import Journal, ignore
from actors.line.line_watch import DEATHS, VoiceActivity
from actors.line.switch import Switch
from actors.messages import ToCall
from actors.operator import CommandRunner
from actors.record.conversation import Conversation
from actors.record.record import RecordBuilder
from actors.record.scribe import Scribe, next_second
from actors.session.opening import Openings, SettingsForm
from actors.summarizer import Summarizer
from actors.supervision import Crashed, Standby, describe, guard, root_cause
from actors.supervisor import Supervisor
from actors.ticks import Looker
from actors.turn.effects import EndConversation
from actors.twilio_bridge import CALL_OVER, STOPPED, TwilioBridge
from agents.roster import Roster
from agents.sentences import Sentences
from protocol.audio import FRAME_BYTES
from protocol.twilio import twiml
from protocol.wire import PacedWebSocket
from store.records import TRANSFERRING, CallRecord, RunningRecord
from store.redaction import CallRedaction

log = structlog.stdlib.get_logger()

Run: TypeAlias = Callable[[], Awaitable[None]]


async def run_call(media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
    """Carry one call from its `start` message to its record.

    *Closes* nothing of `media`: the code that accepted the socket closes it.
    *Cancellation* ends the call; the record is saved, within `Deadlines.settle`.
    """
    call = Call.of(media, plan, services)
    checkpoints = services.checkpoints
    with checkpoints.keeping(plan.call_sid, call.so_far) if checkpoints is not None else nullcontext():
        return await _run_to_its_record(call)


async def _run_to_its_record(call: "Call") -> CallRecord:
    settle = call.services.policy.deadlines.settle
    outcome = "cut"
    try:
        outcome = await call.carry()
    except* Exception as crashes:
        outcome = "crashed"
        log.exception("call_crashed")
        call.state.journal.note(ActorCrashed("call", describe(root_cause(crashes))))
    finally:
        try:
            call.close(outcome)
        finally:  # an observer that raises costs the call, and not its record
            with trio.move_on_after(settle, shield=True):  # its own: where the loop is held up, it costs no record
                await guard(call.services.endings.take_turn)
            record = call.book.record()
            with trio.move_on_after(settle, shield=True) as settling:
                await call.save(record)
        if settling.cancelled_caught:
            call.tell_late(f"not done in {settle:g} s")
    return record


def _record_builder_of(
    plan: CallPlan, services: CallServices, scribe: Scribe | None, redaction: CallRedaction
) -> RecordBuilder:
    trace_id = services.trace_id(plan.call_sid)
    recording = services.recording_at(plan.call_sid) if scribe is not None and scribe.records_audio else ""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    begun = CallRecord(
        *(plan.call_sid, plan.stream_sid, plan.direction, plan.caller, plan.line, started, 0.0, ""),
        metadata=plan.metadata,
        trace_id=trace_id,
        recording=recording,
    )
    if plan.resumption is not None:
        earlier = plan.resumption.record
        begun = attrs.evolve(earlier, caller=plan.caller, line=plan.line, metadata=plan.metadata or earlier.metadata)
        begun = attrs.evolve(begun, trace_id=trace_id, recording=recording)
    return RecordBuilder(begun, redaction)


def _state_of(plan: CallPlan, services: CallServices, roster: Roster, journal: Journal) -> CallState:
    earlier, policy = plan.resumption, services.policy
    agent = roster.agents.get(earlier.agent if earlier else roster.first, roster.begins)
    state = CallState(
        journal=journal,
        conversation=earlier.conversation() if earlier else Conversation(),
        policy=policy,
        context=services.context(plan),
        clips=services.clips,
        activity=VoiceActivity(last=earlier.elapsed if earlier else 0.0),
        switch=Switch(plan.call_sid, services.transfers, policy.human_digit, services.operator_transfers),
        sentences=agent.sentences,
    )
    if earlier is not None:
        state.commands.recall(earlier.record.commands)
        state.amendments.recall(earlier.record, is_given_back=earlier.is_given_back)
    return state


@attrs.define(eq=False)
class Call:
    plan: CallPlan
    services: CallServices
    state: CallState
    bridge: TwilioBridge
    book: RecordBuilder
    scribe: Scribe | None
    roster: Roster
    """The agents, and first the one that begins this call."""
    watch: CallWatch | None = None
    _attendant: Standby = attrs.field(factory=Standby, init=False)
    _outcome: str = attrs.field(default="", init=False)
    _noted: int = attrs.field(default=0, init=False)
    """How many entries the Journal had when the call was last written down."""
    _unsaved: set[str] = attrs.field(factory=set, init=False)
    """Names of what is not saved yet."""

    @classmethod
    def of(cls, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> "Call":
        """Make the shared state of a call; nothing runs yet."""
        elapsed, redaction = plan.resumption.elapsed if plan.resumption else 0.0, CallRedaction(services.redaction)
        scribe, watch = services.scribe(plan, elapsed), services.watch(plan.call_sid)
        book = _record_builder_of(plan, services, scribe, redaction)
        readers = [book.read, services.observe, *(each.read for each in (scribe, watch) if each is not None)]
        readers += [follow(plan) for follow in services.followers]
        roster = services.roster.beginning(plan.direction, plan.line, plan.agents)
        journal = Journal(readers, trio.current_time() - elapsed, redaction)
        state = _state_of(plan, services, roster, journal)
        recording = scribe.recording if scribe is not None and scribe.records_audio else None
        listeners = [each for each in (recording, watch) if each is not None]
        if listeners:
            state.ledger.on_heard = each_of([each.hear_agents for each in listeners])
        on_audio = each_of([each.hear_caller for each in listeners]) if listeners else None
        bridge = TwilioBridge(state, media, plan.stream_sid, on_audio)
        return cls(plan, services, state, bridge, book, scribe, roster, watch)

    async def carry(self) -> str:
        """Run the actors until the call is over; return its outcome."""
        plan, state = self.plan, self.state
        if self.watch is not None:
            on_written = self.watch.begin(CallUnderWay(state.journal, state.turn.turn, trio.lowlevel.current_task()))
            if self.scribe is not None:
                self.scribe.on_written = on_written
        if (resumption := plan.resumption) is None:
            state.journal.note(CallStarted(plan.call_sid, plan.stream_sid, plan.direction))
        else:
            state.journal.note(CallResumed(plan.stream_sid, resumption.unreached, resumption.is_given_back))
            if resumption.give_back is not None:
                state.commands.note_done(resumption.give_back)
        with (
            state.mail.closing(),
            self.services.intercom.open(plan.call_sid, self._attendant) as mailbox,
            state.commands.reading(mailbox),
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_bridge, nursery.cancel_scope, name="bridge")
                nursery.start_soon(state.turn.run, name="turn")
                for standby, name, run in self._expendable(mailbox):
                    standby.arm(partial(self._begin, nursery, name, run))
                with self._length(nursery), self._writing(nursery):
                    await self._conclude(await self._converse())
                nursery.cancel_scope.cancel(reason="call over")
        return self._outcome

    def _begin(self, nursery: trio.Nursery, name: str, run: Run) -> None:
        if not nursery.cancel_scope.cancel_called:  # else the call is over, and its nursery may be closed
            nursery.start_soon(self.state.run_expendable, name, run, name=name)

    def _writing(self, nursery: trio.Nursery) -> AbstractContextManager[None]:
        """Have the Scribe write; if it crashes, the call goes on."""
        if self.scribe is None:
            return nullcontext()
        context = copy_context()  # of this call: one task writes for all
        self.scribe.on_refused = lambda why: context.run(self._note_refused, why)
        return Looker(next_second(), self.scribe.look, partial(self._begin, nursery, "scribe"))

    def _length(self, nursery: trio.Nursery) -> Looker:
        """Have the end of the longest call minded, by a task that begins a second before it has to do anything."""
        longest = min(self.services.policy.deadlines.longest_call, self.plan.longest)
        start = partial(self._begin, nursery, "call length")
        due = self.state.journal.started + longest - self.services.policy.deadlines.length_notice - 1.0

        def look() -> float:
            start(partial(mind_length, self.state, longest))
            return math.inf

        return Looker(max(due, trio.current_time()), look, start)

    def _expendable(self, mailbox: trio.MemoryReceiveChannel[ToCall]) -> Iterator[tuple[Standby, str, Run]]:
        """Go through the actors that a call goes on without, if they crash; they begin when they are first wanted."""
        state = self.state
        yield state.mail.writer, "summarizer", Summarizer(state, self.roster, self.services.ask_brief).run
        yield self._attendant, "attendant", partial(self._attend, mailbox)
        yield state.keypad.collector, "keypad", state.keypad.collect
        yield state.switch.carrier, "transfers", partial(mind_transfers, state)

    async def _attend(self, mailbox: trio.MemoryReceiveChannel[ToCall]) -> None:
        runner = CommandRunner(self.state, frozenset(self.roster.agents))
        await Attendant(self.state, self._machine(), runner).attend(mailbox)

    async def _converse(self) -> EndConversation | None:
        """Let the agents talk until the turn says that the conversation is over; None: none of them can carry on."""
        with self.state.turn.talk:
            await self._supervisor().run()
            return None
        return self.state.turn.conclusion

    def _machine(self) -> AnsweringMachine:
        message, roster = self.plan.voicemail, self.roster
        first = roster.agents.get(roster.first)
        introduction = first.introduction or first.greeting_with(self.plan.context) if first is not None else ""
        message = self.services.policy.wording.voicemail if message is None else message
        own = self.state.sentences.voicemail if message else ""
        return AnsweringMachine(self.state, own or message, introduction)

    def _supervisor(self) -> Supervisor:
        state, plan, services = self.state, self.plan, self.services
        form = SettingsForm(plan.call_sid, services.voice_agent, plan.direction, state.amendments)
        return Supervisor(
            state=state,
            roster=self.roster,
            floor=Floor(state, services.connect),
            openings=Openings(form, state.tape, state.conversation, state.policy, plan.resumption),
            rng=services.rng,
            context=plan.context,
        )

    async def _run_bridge(self, call: trio.CancelScope) -> None:
        left = await self.bridge.run()
        gone = "line_dead" if left.how in DEATHS else "caller_hung_up"
        is_with_person = self.state.switch.underway is not None and left.how != CALL_OVER
        self._end_as(TRANSFERRING if is_with_person else gone)
        if left.how == STOPPED and not is_with_person:
            await self.state.turn.hear_out()
        call.cancel(reason=f"{self._outcome} ({left.how})")

    def _note_refused(self, why: str) -> None:
        log.error("writing_refused", error=why)
        self.state.journal.note(WritingRefused(why))

    async def _conclude(self, outcome: EndConversation | None) -> None:
        match outcome:
            case _ if self._outcome:
                pass  # the caller has left
            case EndConversation(outcome=name, unsaid=""):
                self._end_as(name)
                await self._ask_line("hang_up", lambda: self.services.line.hang_up(self.plan.call_sid))
            case EndConversation(outcome=name, unsaid=sentence):
                self._end_as(name)
                await self._redirect(twiml.say_and_end(sentence, self._sentences.language))
            case None:
                self._end_as("no_agent")
                policy = self.services.policy
                await trio.sleep(min(self.state.ledger.unplayed, policy.deadlines.last_word))
                says, dial, line = self._sentences, policy.fallback_number, policy.our_number
                await self._redirect(twiml.say_and_end(says.apology, says.language, dial=dial, line=line))
            case _:
                assert_never(outcome)

    @property
    def _sentences(self) -> Sentences:
        return self.state.turn.turn.sentences

    async def _redirect(self, twiml: str) -> None:
        await self._ask_line("redirect", lambda: self.services.line.redirect(self.plan.call_sid, twiml))

    async def _ask_line(self, what: str, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask the telephone network; if it fails, closing the stream ends the call (`<Hangup/>` follows it)."""
        longest = self.services.policy.deadlines.hang_up
        answered: Crashed | None = Crashed(TimeoutError(f"no answer within {longest:g} s"))
        with trio.move_on_after(longest):
            answered = await guard(ask)
        if isinstance(answered, Crashed):
            log.error("line_failed", asked=what, error=answered.reason)
            self.state.journal.note(ActorCrashed(f"line ({what})", answered.reason))

    def _end_as(self, outcome: str) -> None:
        self._outcome = self._outcome or outcome

    def close(self, outcome: str) -> None:
        state = self.state
        for standby in (state.mail.writer, self._attendant, state.keypad.collector, state.switch.carrier):
            standby.arm(None)  # it knows the call, which would outlive itself until a full collection
        if self.scribe is not None:
            self.scribe.on_refused = ignore  # the same
        state.ledger.close()
        frames = self._frames()
        duration = round(state.journal.now, 3)
        if outcome == TRANSFERRING and (ordered := state.switch.ordered) is not None:
            state.commands.decide(ordered.command_id, DONE)
        state.commands.close()
        if outcome != TRANSFERRING:
            state.journal.note(CallEnded(outcome, duration, frames))
            return
        if (answered := state.switch.answered()) is not None:
            state.journal.note(answered)
        state.journal.note(CallParked(duration, frames))

    def _frames(self) -> dict[str, int]:
        state = self.state
        return {
            "caller_in": self.bridge.frames_in,
            "caller_sent": state.tape.delivered,
            "unheard": state.tape.lost,
            "agent_in": state.ledger.received // FRAME_BYTES,
            "agent_sent": state.ledger.sent // FRAME_BYTES,
            "dropped": state.ledger.dropped // FRAME_BYTES,
        }

    def so_far(self) -> RunningRecord | None:
        """Return the record for a call that is cut now; None if nothing has changed since the last request."""
        under_way = self.state.ledger.under_way
        noted, self._noted = self._noted, self.state.journal.count
        if noted == self._noted and not under_way:
            return None
        return self.book.so_far(round(self.state.journal.now, 3), self._frames(), under_way)

    async def save(self, record: CallRecord) -> None:
        """Keep the record, and write the files; neither can keep the other from happening."""
        scribe = self.scribe
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_twice, "record", lambda: self.services.save(record))
            if scribe is not None:
                nursery.start_soon(self._save_twice, "files", lambda: scribe.finish(record))

    def tell_late(self, why: str) -> None:
        """Log what is not saved in time. A recording is joined all the same, in its turn or at the next start."""
        call_sid, what = self.plan.call_sid, self._unsaved
        if what == {"files"} and self.scribe is not None and self.scribe.lacks_recording:
            log.warning("recording_late", call_sid=call_sid, why=why)
        else:
            log.error("record_not_saved", call_sid=call_sid, what=" and ".join(sorted(what)), why=why)

    async def _save_twice(self, what: str, save: Callable[[], Awaitable[None]]) -> None:
        self._unsaved.add(what)
        saved = await guard(save)
        if isinstance(saved, Crashed):
            saved = await guard(save)
        if not isinstance(saved, Crashed):
            self._unsaved.discard(what)
        else:
            log.error("record_not_saved", call_sid=self.plan.call_sid, what=what, why=saved.reason)
