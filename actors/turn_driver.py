"""The driver of a call's turn-taking: joins `Turn` to trio, to the line and to the session on the floor.

`TurnDriver` belongs to the call and outlives its sessions. Each part of the call tells it what has happened by `put`,
in the scheduler step in which it learned it; what `Turn` wants done is performed in that same step and never waited
for. One task, `run`, tells `Turn` when time has passed and when the caller has heard everything. It decides nothing.
"""

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias, assert_never

import attrs
import trio
from trio.lowlevel import ParkingLot

from actors.facts import CallClosing, CallerSilent, ClosingUnsaid, GoodbyeHeard, GoodbyeStarted, SilenceMet
from actors.journal import Journal, ignore
from actors.line.ledger import SWITCHBOARD, Ledger
from actors.line.reply import Voice
from actors.line.switch import Switch
from actors.record.conversation import Conversation
from actors.ticks import Sleeper
from actors.turn import effects
from actors.turn.effects import Aside, Effect, EndConversation, Listening, SayAsAgent, SpeechKind
from actors.turn.events import CloseAsked, Event, FloorGiven, Signal, VoiceEnded
from actors.turn.machine import Turn
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from agents.spec import AgentSpec

_REST = 0.01
_JUST_NOW = 1.0
"""Seconds in which a service that hears the caller reports something (Deepgram reference, section 4)."""
_PROOF, _ASKED = 0.25, 0.5
"""Of `silent_service`, behind a sound: from when on a message shows that the service is there, and when it is asked."""
_NO_LEAD = 0.3
"""Seconds for which a line must be quiet that agent audio reaches no faster than it is played."""

ForSession: TypeAlias = SayAsAgent | effects.TellAsCaller | Listening | effects.AnswerFunction | effects.EndSession
"""The effects that the session on the floor performs."""
Clips: TypeAlias = dict[tuple[str, str], bytes]
"""Fillers in agents' voices, as bare mu-law, by the name of the voice and the words."""


class SessionOnFloor(Protocol):
    """The session as the driver sees it."""

    @property
    def agent(self) -> AgentSpec: ...

    @property
    def number(self) -> int: ...

    @property
    def voice(self) -> Voice: ...

    @property
    def cursor(self) -> int:
        """The first frame of the tape that it has not been sent."""
        ...

    @property
    def last_heard(self) -> float:
        """When (trio time) its service last sent anything."""
        ...

    @property
    def reads_tape(self) -> bool:
        """Whether it listens to the caller."""
        ...

    @property
    def last_sign(self) -> float:
        """When (trio time) its service last sent anything or answered a ping; infinity: that is not known."""
        ...

    @property
    def amended(self) -> int:
        """Which version of the operator's amendments its service has."""
        ...

    def amend(self) -> None:
        """Tell the service the newest amendments, if it was not told them."""

    def perform(self, effect: ForSession) -> None:
        """Do what `Turn` wants of the session, without waiting for it."""

    def ask_service(self) -> None:
        """Ask whether its service is there."""

    def listen_closely(self) -> None:
        """Read what the service says as it comes: the caller's line has begun to carry voice."""


_LAST_WORDS = frozenset({Phase.TRANSFERRING, Phase.ENDING, Phase.CLOSING})
"""The words of these phases are heard to the last one."""


@attrs.define(eq=False)
class TurnDriver:
    turn: Turn
    ledger: Ledger
    journal: Journal
    conversation: Conversation
    clips: Clips
    switch: Switch
    session: SessionOnFloor | None = attrs.field(default=None, init=False)
    """On the floor."""
    on_concluded: Callable[[], None] = attrs.field(default=ignore, init=False)
    """Called when the conversation is over as a function has asked for, whatever became of its session."""
    speaker: AgentSpec | None = attrs.field(default=None, init=False)
    """The agent whose turn it is, with a session or with one on its way: a clip has its voice."""
    may_end_turns: bool = attrs.field(default=True, init=False)
    """Whether a service of this call is asked to end a turn of the caller's: not if a session was lost over it."""
    talk: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Of the conversation: cancelled once it is over, as `conclusion` says."""
    conclusion: EndConversation = attrs.field(init=False, repr=False)
    """Set once the conversation is over."""
    _closing: CloseAsked | None = attrs.field(default=None, init=False)
    """The closing that is noted."""
    _goodbye: CloseAsked | None = attrs.field(default=None, init=False)
    """The closing whose last sentence is noted."""
    _inbox: list[Event] = attrs.field(factory=list, init=False)
    _is_taking: bool = attrs.field(default=False, init=False)
    _changed: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _sleeper: Sleeper = attrs.field(factory=Sleeper, init=False)
    _due: float = attrs.field(default=-math.inf, init=False)
    """Until when `run` sleeps."""
    _has_no_lead: bool = attrs.field(default=False, init=False)
    _asked: int = attrs.field(default=0, init=False)
    """The number of the session whose service was last asked whether it is there, and when (trio time)."""
    _asked_at: float = attrs.field(default=-math.inf, init=False)

    # Events

    def put(self, event: Event) -> None:
        """Take an event now. What an effect reports while it is performed comes after it, not inside of it."""
        self._inbox.append(event)
        if self._is_taking:
            return
        self._is_taking = True
        try:
            while self._inbox:
                wanted = self.turn.on(self._inbox.pop(0), trio.current_time())
                self.ledger.gate = self.turn.gate
                for effect in wanted:
                    self._perform(effect)
                if not self.turn.ended_by:  # or no longer
                    self.on_concluded = ignore
                self._note_closing()
        finally:
            self._is_taking = False
            self.wake()

    def give_floor(self, session: SessionOnFloor, given: FloorGiven) -> None:
        self.session, self.speaker = session, session.agent
        self.put(given)

    def vacate_floor(self) -> None:
        self.session = None
        self.put(Signal.FLOOR_VACATED)

    def put_audio(self, voice: Voice, audio: bytes) -> None:
        """Take audio of the session on the floor; only the first frame that is news to `Turn` is an event."""
        if audio and voice is self.ledger.floor and self.turn.is_audio_news:
            if self.turn.voice is VoiceState.IDLE:
                self.ledger.end_reply(voice)
            self.put(Signal.AUDIO_BEGAN)
        self.ledger.put(voice, audio)

    def put_voice(self, *, is_voiced: bool, spoke: tuple[float, float] | None) -> None:
        """Take how loud the caller's line is: it carries voice now, or `spoke` is an interval that is over."""
        if spoke is not None:
            start, end = (self.journal.started + at for at in spoke)
            session, word = self.session, self.turn.policy.deadlines.shortest_word
            deaf = session is not None and end - start >= word and session.last_heard < end and session.reads_tape
            self.put(VoiceEnded(end, deaf))
        elif is_voiced and not self.turn.is_loud:
            self.put(Signal.VOICE_BEGAN)
            if self.session is not None:
                self.session.listen_closely()

    def may_interrupt(self, now: float) -> bool:
        """Tell whether the caller's line has begun to carry voice just now."""
        return self.turn.is_loud and now < self.turn.at.voiced + self.turn.policy.deadlines.shortest_word

    def since_voice(self, now: float) -> float:
        """Return for how many seconds the caller's line has been silent."""
        return 0.0 if self.turn.is_loud else now - self.turn.at.voiced

    def wake(self) -> None:
        """Have `run` look when something is due now."""
        self._changed.unpark_all()
        if (due := self._next_due()) != self._due:
            self._due = due
            self._sleeper.move(due)

    def wake_for_mark(self) -> None:
        """Have `run` look again if the line's own word counts."""
        if self.turn.phase in _LAST_WORDS:
            self.wake()

    async def run(self) -> None:
        """Tell `Turn` when its time has come, and when the line has gone quiet. Runs until it is cancelled."""
        try:
            await self._tell_times()
        finally:
            self.on_concluded()  # unless it has been: a caller may hang up in the goodbye
            # each knows the other: they would outlive the call until a full collection
            self.session, self.on_concluded = None, ignore

    async def _tell_times(self) -> None:
        while True:
            self._due = self._next_due()
            await self._sleeper.sleep_until(self._due, look=self._look)
            now = trio.current_time()
            if now >= self._all_played_at():
                self._has_no_lead = False
                self.put(Signal.PLAYED)
            elif now >= self.turn.deadline():
                self.put(Signal.SERVICE_THERE if self._is_service_there() else Signal.TIME_PASSED)
            elif now >= self._silent_at():
                self._ask_service(now)
            if self.turn.deadline() <= trio.current_time():
                await trio.sleep(_REST)  # a rule that is due again at once must not keep the other calls waiting

    def _look(self) -> float:
        """Return when something is due: if ours sounds and that is later, audio comes no faster than it is played."""
        if self.turn.sounding and not self._has_no_lead:
            self._has_no_lead = self._next_due() > trio.current_time()
        self._due = self._next_due()
        return self._due

    def _is_service_there(self) -> bool:
        """Tell whether the service has sent anything just now, and since it was asked to say something."""
        since = max(self.turn.at.outstanding, trio.current_time() - _JUST_NOW)
        return self.session is not None and self.session.last_heard > since

    def _next_due(self) -> float:
        return min(self.turn.deadline(), self._all_played_at(), self._silent_at())

    def _silent_at(self) -> float:
        """Return when the service is to be asked whether it is there, or is gone, if nothing comes of it until then.

        It is asked only if it has said nothing by then: most sounds are words, and are answered sooner.
        """
        since, patience = self.turn.minds_silence_since, self.turn.policy.deadlines.silent_service
        if self.session is None or since == math.inf or self.session.last_sign > self._proof_from:
            return math.inf
        if self._was_asked(self.session):
            return max(since + patience, self._asked_at + _ASKED * patience)
        return since + _ASKED * patience

    @property
    def _proof_from(self) -> float:
        """Since when a message shows that the service is there; one that hears the caller says so as they begin."""
        late = 0.0 if self.turn.is_loud else _PROOF * self.turn.policy.deadlines.silent_service
        return self.turn.minds_silence_since + late

    def _was_asked(self, session: SessionOnFloor) -> bool:
        """Tell whether this session's service was asked so late that its answer shows anything."""
        return self._asked == session.number and self._asked_at > self._proof_from

    def _ask_service(self, now: float) -> None:
        """Ask the service whether it is there; if it was asked behind this sound, it is gone."""
        if self.session is None or self._was_asked(self.session):
            self.put(Signal.SERVICE_SILENT)
        else:
            self._asked, self._asked_at = self.session.number, now
            self.session.ask_service()

    def _all_played_at(self) -> float:
        late = _NO_LEAD if self._has_no_lead and not self.ledger.is_whole else 0.0
        return self._played_at() + late

    def _played_at(self) -> float:
        """Return when the caller has heard everything: by our clock, and of last words by the line's own word."""
        if not self.turn.sounding:
            return math.inf
        phase, marks = self.turn.phase, self.ledger.marks
        is_to_come = phase is Phase.ENDING and self.turn.debt is Debt.OWED  # the goodbye, which they wait for
        awaits_mark = phase in _LAST_WORDS and not is_to_come and marks.oldest
        late = self.turn.policy.deadlines.goodbye_grace if awaits_mark else 0.0
        return self.ledger.quiet_at + late

    async def hear_out(self) -> None:
        """Wait until the record has the last words of a caller who has left, if the service hears them."""
        if self.turn.caller is CallerState.HEARD:
            self._perform(Listening.END_CALLERS_TURN)
        with trio.move_on_after(self.turn.policy.deadlines.parting_words):
            while self.turn.caller is CallerState.HEARD:
                await self.wait_change()

    async def wait_change(self) -> None:
        """Wait until something has been told to `Turn`."""
        await self._changed.park()

    def amend(self) -> None:
        """Tell the session on the floor of the newest amendments; one that takes it later looks by itself."""
        if self.session is not None:
            self.session.amend()

    # Effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Aside():
                self._perform_by_ledger(effect)
            case effects.PlayClip(silence=silence):
                self._play_clip(silence)
            case effects.NoteSilence(silence=silence):
                self.journal.note(SilenceMet(self._name, round(silence, 3), "agent"))
            case Listening.END_CALLERS_TURN if not self.may_end_turns:
                pass  # the words before the keys come when the service finds their end
            case effects.PutThrough(id=call_id):
                self.switch.allow(call_id)
            case EndConversation():
                self._conclude(effect)
            case _:
                self._perform_by_session(effect)

    def _perform_by_ledger(self, effect: Aside) -> None:
        match effect:
            case Aside.CUT if self._is_all_but_heard:
                pass  # after a noise it would be heard long behind the rest
            case Aside.CUT:
                self.ledger.cut()
            case Aside.FORGET:
                self.ledger.forget()
            case Aside.RESUME:
                for reply in self.ledger.resume():
                    self.conversation.add_reply(reply)
                if self._all_played_at() <= trio.current_time():
                    self.put(Signal.PLAYED)  # nothing was left: that ends no silence
            case _:
                assert_never(effect)

    @property
    def _is_all_but_heard(self) -> bool:
        """Whether no more than the end of a word is left to be heard, and no more will come."""
        return self.ledger.is_whole and self.ledger.unplayed < self.turn.policy.deadlines.shortest_word

    @property
    def _name(self) -> str:
        return SWITCHBOARD if self.session is None else self.session.agent.name

    def _play_clip(self, silence: float) -> None:
        found = None if self.speaker is None else self._clip_of(self.speaker)
        self.journal.note(SilenceMet(self._name, round(silence, 3), "nothing" if found is None else "clip"))
        if found is None:
            self.put(Signal.PLAYED)
        else:
            self.ledger.announce(self.clips[found], found[1])

    def _clip_of(self, agent: AgentSpec) -> tuple[str, str] | None:
        """Return the agent's own clip, else its words in another voice, else any: worse than these is silence."""
        own = agent.voice, agent.sentences.filler
        if own in self.clips:
            return own
        return next((clip for clip in self.clips if clip[1] == own[1]), next(iter(self.clips), None))

    def _perform_by_session(self, effect: ForSession) -> None:
        if isinstance(effect, SayAsAgent):
            self._note_saying(effect)
        if self.session is not None:
            self.session.perform(effect)

    def _note_saying(self, effect: SayAsAgent) -> None:
        match effect.kind:
            case SpeechKind.QUESTION if effect.silence > 0.0:  # else it is a probe into a loud line
                self.journal.note(CallerSilent(self._name, round(effect.silence, 3), self.turn.times_asked + 1))
            case SpeechKind.TRANSFER if self.speaker is not None:  # a key, or an operator, has asked for a person
                self.switch.want_announced(self.speaker)
            case SpeechKind.CLOSING if (closing := self.turn.closing) is not None and closing is not self._goodbye:
                self._goodbye = closing
                self.journal.note(GoodbyeStarted(self._name, closing.outcome))
            case _:
                pass  # the words themselves are noted when they come

    def _conclude(self, ended: EndConversation) -> None:
        if ended.unsaid:
            self.journal.note(ClosingUnsaid(ended.outcome))
        self.on_concluded()
        if ended.heard or ended.reason:
            last = self.conversation.last_reply
            complete = ended.heard and last is not None and last.complete
            self.journal.note(GoodbyeHeard(self._name, complete))
        self.conclusion = ended
        self.talk.cancel(reason="conversation over")

    def _note_closing(self) -> None:
        before, self._closing = self._closing, self.turn.closing
        if self._closing is not None and self._closing is not before:
            self.journal.note(CallClosing(self._closing.outcome))
