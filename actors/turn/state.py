"""The state of `Turn`, what can be asked of it, and the verbs that its changes are made of.

Everything here is written by `machine.py`, `tables.py` and `actions.py`, and by nobody else.
"""

import math
from collections import Counter
from enum import Enum, auto

import attrs
from agents.sentences import ENGLISH, Sentences

from actors.policy import LONGEST_ANSWER, CallPolicy, Deadlines, Numbers, Wording
from actors.turn import effects, events
from actors.turn.effects import Effect, Gate, SayAsAgent, SpeechKind
from actors.turn.events import LONG_AGO, CallerSaid, CloseAsked, EndWanted, Kind, Recognised, Signal, between, until
from actors.turn.parts import MOST_SILENT, NEVER, Clocks, LastReply, Session, is_from, words_of

NO_END = EndWanted("", "")
SILENT, MACHINE = "caller_silent", "machine"
"""The outcomes of a call whose caller does not answer, and of one with a recording."""


class CallerState(Enum):
    """Whether the service hears the caller and owes the call a transcript."""

    QUIET = auto()
    HEARD = auto()


class VoiceState(Enum):
    """The agent's audio as the service sends it. Whether any of it still sounds on the line is another matter."""

    ABSENT = auto()  # no session may be heard: one connects, restarts or hands over
    IDLE = auto()
    COMING = auto()  # a reply arrives
    CUT = auto()  # the rest of a reply that the caller has interrupted may still arrive
    LATE = auto()  # a filler arrives after the answer that it was to bridge


class Debt(Enum):
    """Whether the caller waits for words of an agent."""

    SETTLED = auto()
    OWED = auto()


class Phase(Enum):
    CONVERSING = auto()
    HANDING_OVER = auto()  # another agent was asked for; the session keeps the floor and is not heard
    TRANSFERRING = auto()  # the sentence before a transfer to a person is being said
    PUTTING_THROUGH = auto()  # the line was asked for a person
    ENDING = auto()  # the agent has ended the conversation; its goodbye is being heard
    HUSHED = auto()  # a message waits for the beep of an answering machine
    CLOSING = auto()  # the last sentence of a call that the switchboard ends is being said
    OVER = auto()
    TAKEN_OVER = auto()  # an operator has the caller, and no agent: nothing is owed, asked or filled


@attrs.define(eq=False)
class TurnState:
    """All of it. The driver and the call read it, too."""

    policy: CallPolicy
    now: float
    sentences: Sentences = ENGLISH
    deadlines: Deadlines = attrs.field(default=attrs.Factory(lambda self: self.policy.deadlines, True), init=False)
    wording: Wording = attrs.field(default=attrs.Factory(lambda self: self.policy.wording, True), init=False)
    numbers: Numbers = attrs.field(default=attrs.Factory(lambda self: self.policy.numbers, True), init=False)
    caller: CallerState = CallerState.QUIET
    voice: VoiceState = VoiceState.ABSENT
    debt: Debt = Debt.SETTLED
    phase: Phase = Phase.CONVERSING
    event: Recognised = Signal.TIME_PASSED  # it is being taken, or was the last
    at: Clocks = attrs.field(default=attrs.Factory(lambda self: Clocks(quiet=self.now), True))
    effects: list[Effect] = attrs.field(factory=list)

    # The line
    sounding: bool = False  # the caller hears something of ours, or will
    is_loud: bool = between(Signal.VOICE_BEGAN, events.VoiceEnded)  # the line carries the caller's voice
    aside: SpeechKind | None = None  # what was cut and is kept. A false start brings an answer back, and nothing else
    is_resumed: bool = False  # the reply that sounds was cut before, and resumed
    is_unended: bool = until(False, Signal.AUDIO_DONE, events.FunctionsAsked)  # the last reply is over, or broken off
    withholds_end: bool = until(False, Signal.AUDIO_DONE)  # the service has gone on after such a reply

    # The session, and what it says
    session: Session = attrs.field(factory=Session)
    reply: LastReply = attrs.field(factory=LastReply)
    has_asked: bool = until(False, CallerSaid)  # the agent's last words are a question
    asks_to_wait: bool = False  # they ask the caller for time, and are no goodbye
    is_ended: bool = between(Signal.AUDIO_DONE, *events.WORDS)  # the end of the last reply was told behind its words
    has_words: bool = until(False, Signal.AUDIO_DONE)  # words of any kind have come, heard or not
    sounds_wanted: bool = False  # an answer is a part of what sounds: if a noise cuts it, all of it is wanted again
    has_spoken: bool = False  # the agent has said something of its own accord since the caller, or a function, spoke
    fillers_said: int = 0
    own_filler: str = ""  # the words of a slow function, said instead of a filler
    times_asked: int = until(0, events.KeysEntered)  # how often a silent caller was asked whether they are there

    # What the service is told
    own_words: str = until("", CallerSaid)  # what the agents have said
    hears_itself: bool = until(False, CallerSaid)  # the service has taken the agent's words for the caller's
    last_turn: str = ""  # the caller's last turn, if it can be asked again
    # The words of the caller's last turn, until they may have been said again
    transcript: str = until("", Signal.CALLER_STARTED_SPEAKING, Signal.VOICE_BEGAN, events.FloorGiven)
    long_turns: Counter[str] = attrs.field(factory=Counter)  # each that is no answer, and how often
    deaf_words: int = until(0, Signal.CALLER_STARTED_SPEAKING)  # how often the line has carried a word
    times_silent: int = 0  # how many sessions were lost because their service answered no ping
    owes_deed: bool = until(False, events.FunctionsAsked)  # the caller waits only for what the agent has announced
    is_unread: bool = until(False, CallerSaid)  # the caller has spoken to a session that is lost, or to none
    is_away: bool = False  # the caller has asked for time

    # Functions
    end: EndWanted = NO_END  # what has ended the conversation last; what else wanted to end it was refused
    wish: str = ""  # the function that has asked for a person, also when its session is gone; "" for a key
    reopened: list[Phase] = attrs.field(factory=list)  # the phases that the caller's words have taken back
    promise: str | None = until(None, events.FunctionsAsked)  # what the agent has announced; "": it is no function
    is_reminded: bool = False
    is_urged: bool = until(False, events.FloorGiven)  # to go on with a torn reply: once a turn, for an echo tears each

    # What waits to be told or said
    is_opened: bool = False  # the session's first words were heard, or it owes none
    keys: tuple[str, ...] = ()  # the entries on the keypad that wait to be told to an agent
    wants_person: bool = False
    is_person_ordered: bool = between(Signal.PERSON_WANTED, Signal.PERSON_UNWANTED)  # by an operator
    why_no_person: str = ""
    remark: SayAsAgent | None = None  # it waits for a pause
    remark_begun: str = ""  # the id of the last one that an agent was heard to begin
    closing: CloseAsked | None = None
    may_stay: bool = False  # the call is to close for the caller's silence, and for nothing else
    is_closing_sent: bool = False  # the last sentence was received whole: nothing behind it is to be heard

    @property
    def gate(self) -> Gate:
        """Whether the agent's audio is heard, set aside or dropped."""
        if self.phase in (Phase.HUSHED, Phase.OVER) or self.is_closing_sent:
            return Gate.SHUT
        if self.phase is Phase.TAKEN_OVER or self.voice in (VoiceState.IDLE, VoiceState.COMING):
            return Gate.OPEN
        return Gate.ASIDE if self.voice is VoiceState.CUT and self.aside is not None else Gate.SHUT

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is owed, nobody is heard, and nothing is said, done, or about to be said."""
        is_idle = self.debt is Debt.SETTLED and self.voice is VoiceState.IDLE and self.caller is CallerState.QUIET
        return is_idle and not (self.sounding or self.session.running or self.session.outstanding or self.session.told)

    @property
    def is_pause(self) -> bool:
        """Whether all is at rest, and the caller neither makes a sound nor presses keys."""
        return self.is_at_rest and not self.is_loud and self.now >= self.at.key + self.deadlines.digit_pause

    @property
    def is_waited_for(self) -> bool:
        """Whether the caller waits for an agent, and has waited before this event."""
        return self.at.waiting < NEVER

    @property
    def waits_in_silence(self) -> bool:
        """Whether the caller waits for words of an agent, and hears nothing of ours."""
        return self.debt is Debt.OWED and self.caller is CallerState.QUIET and not self.sounding

    @property
    def silent_since(self) -> float:
        """Since when the caller waits and hears nothing. A clip without audio ends a silence like one with."""
        silent = max(self.at.owed, self.at.quiet)
        if not self.is_unended:
            return silent
        return NEVER if self.is_loud else max(silent, self.at.voiced, self.at.key)  # it may be the caller's turn

    @property
    def minds_silence_since(self) -> float:
        """Since when a service must have sent something, or answered a ping; infinity: it need not have.

        The caller has made a sound, perhaps a short word, and the agent has said nothing since. Where an answer is
        owed, the rules of silences say what becomes of it.
        """
        is_theirs = (self.debt is Debt.SETTLED or self.is_unended) and self.at.voiced > self.at.said
        is_there = self.phase is Phase.CONVERSING and self.voice is not VoiceState.ABSENT
        is_minded = is_theirs and is_there and not self.sounding and self.times_silent < MOST_SILENT
        return self.last_sound if is_minded else NEVER

    @property
    def last_sound(self) -> float:
        """When anything was last heard on the line, of ours or of the caller's."""
        return max(self.at.quiet, self.at.voiced)

    @property
    def callers_turn_since(self) -> float:
        """Since when it is the caller's turn, while nothing is owed and nothing sounds."""
        return max(self.at.turned, self.at.quiet)

    @property
    def is_asked_out(self) -> bool:
        """Whether the caller was asked as often as is worth it whether they are there."""
        return self.times_asked >= self.numbers.silent_asks

    @property
    def has_parted(self) -> bool:
        """Whether the agent's last words are a goodbye. It is reminded to end the call, and may not do so."""
        return self.reply.takes_leave and not self.has_asked

    @property
    def is_answered(self) -> bool:
        """Whether the agent's last words came after what was asked last; after a decision, only lasting work counts."""
        works = self.session.does_lasting_work if self.is_decided else self.session.running
        return self.reply.has_sound and not works and self.at.answered >= self.at.wanted

    @property
    def is_audible(self) -> bool:
        """Whether words that come now will be heard."""
        return self.gate is Gate.OPEN or self.voice is VoiceState.LATE

    @property
    def has_closing_begun(self) -> bool:
        """Whether the service says the last sentence of the call, or has said it."""
        return self.phase is Phase.CLOSING and self.at.begun >= self.at.phase

    @property
    def may_be_reopened(self) -> bool:
        """Whether the caller's words take back what the agent has decided, as it did not do upon them."""
        is_rare = self.reopened.count(self.phase) < self.numbers.reopenings
        return is_rare and self.closing is None and not self.ends_upon_words

    @property
    def is_decided(self) -> bool:
        """Whether the agent has ended the conversation, or asked for a person, and its sentence is being heard."""
        return self.phase in (Phase.ENDING, Phase.TRANSFERRING)

    @property
    def ends_upon_words(self) -> bool:
        """Whether these words are those that the agent's decision answers, which may come first (Deepgram, 6.3).

        The caller had spoken for a word by then, and no longer than a breath since.
        """
        is_heard = self.is_decided and self.caller is CallerState.HEARD and not self.is_spoken_over
        return is_heard and self.now <= self.at.phase + self.deadlines.goodbye_onset

    @property
    def is_spoken_over(self) -> bool:
        """Whether the caller began to speak over what goes with a decision, or too late to be answered by it."""
        return self.is_decided and self.at.heard + self.deadlines.shortest_word > self.at.phase

    @property
    def keeps_goodbye(self) -> bool:
        """Whether the goodbye that was said stands, although the caller's words come after it."""
        if self.ends_upon_words:
            return self.has_answered_speech
        return self.phase is Phase.ENDING and not self.may_be_reopened

    @property
    def has_answered_speech(self) -> bool:
        """Whether the agent has said anything since the caller began to speak."""
        return self.at.answered >= self.at.heard

    @property
    def answers_late_words(self) -> bool:
        """Whether words that come now were spoken before the reply began, when nothing else was to be answered."""
        at, reply = self.at, self.reply
        if self.session.is_to_speak or reply.kind is not SpeechKind.ANSWER:
            return False
        began = reply.began if reply.has_sound else at.answered  # with words whose audio is still to come
        is_theirs = max(at.understood, at.told) < at.own_turn
        return is_theirs and max(at.heard, at.voiced) <= began

    def is_whole(self, now: float) -> bool:
        """Whether a reply that ends now has been sent to its end: an interruption is told at once."""
        return self.voice is not VoiceState.CUT or now >= self.at.cut + self.deadlines.shortest_word

    def echoes(self, text: str) -> bool:
        """Whether a transcript is what the service was told as the caller's words."""
        return self.session.told != "" and words_of(text) == words_of(self.session.told)

    def repeats(self, text: str) -> bool:
        """Whether the service sends a transcript again: nobody has spoken since, and no reply was heard."""
        return self.transcript != "" and words_of(text) == self.transcript

    def is_own_echo(self, text: str, now: float) -> bool:
        """Whether a transcript is what the agent has said: the service heard it begin while that sounded.

        A voice that goes on for a second behind the sound is the caller's, who reads it back.
        """
        at = self.at
        is_read = (now if self.is_loud else at.voiced) > at.quiet + self.deadlines.goodbye_onset
        is_past = at.understood < at.noticed <= at.quiet + self.deadlines.shortest_word and not is_read
        is_of_this = self.sounding and not at.understood < at.noticed < at.sounded
        return (is_of_this or is_past) and is_from(text, self.own_words)

    def has_room_for(self, keys: str) -> bool:
        """Whether an entry of keys can wait with the others."""
        return sum(map(len, self.keys)) + len(keys) <= self.numbers.most_keys

    @property
    def asking(self) -> str:
        """The function that asks for a decision with the event that is being taken."""
        return self.event.id if isinstance(self.event, events.HandoffWanted | events.TransferWanted | EndWanted) else ""

    # Verbs

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def say(self, asked: SayAsAgent) -> None:
        """Ask the service to say something; what it is still to send of a cut reply is heard no more."""
        if self.voice in (VoiceState.CUT, VoiceState.LATE):
            self.voice = VoiceState.IDLE
        self.session.outstanding, self.session.rest, self.has_asked = asked, "", False
        self.at.outstanding, self.at.begun = self.now, LONG_AGO
        self.emit(asked)

    def tell(self, text: str, keys: tuple[str, ...] = ()) -> None:
        """Tell the service something as the caller's words; it stops what it says."""
        if self.voice is VoiceState.LATE:
            self.voice = VoiceState.IDLE
        self.expect_words()
        self.want()
        self.session.told, self.at.told, self.last_turn = text.strip(), self.now, ""
        self.emit(effects.TellAsCaller(text, keys))

    def want(self) -> None:
        """Ask something of the agent: it is not answered by what was said in the same moment, before it."""
        self.at.wanted = math.nextafter(self.now, math.inf)

    def expect_words(self) -> None:
        """Take what the agent has said for no answer, unless it was announced only and is waited for."""
        self.has_spoken = self.owes_deed

    def enter(self, phase: Phase) -> None:
        self.phase, self.at.phase = phase, self.now

    def owe(self, since: float | None = None) -> None:
        """Have the caller wait for an agent since then, or now; a caller who waits already goes on waiting."""
        if not self.is_waited_for:
            self.at.owed = self.now if since is None else since
            self.at.waiting = self.now
        self.debt = Debt.OWED

    def owe_answer(self) -> None:
        """Have the caller wait for an answer to their words, since the last of them that the line has carried."""
        at, longest = self.at, self.deadlines.latest_transcript
        is_recent, is_heard = self.now <= at.voiced + longest, self.now <= at.heard + longest
        if is_recent and not self.is_loud:
            at.owed = max(at.voiced, at.heard)
        elif self.is_loud or not self.is_waited_for or (is_heard and not self.hears_itself):
            at.owed = self.now
        # Else it was said long ago, and is read from the tape: they are silent, and wait already
        self.owe(at.owed)

    def wait_anew(self) -> None:
        """Count the wait anew: a session can speak that could not before, or its model has what it asked for."""
        if self.is_waited_for:
            self.at.waiting = self.now

    def settle(self) -> None:
        """The caller waits for nothing; a filler that was asked for comes too late."""
        self.debt = Debt.SETTLED
        self.owes_deed = self.is_unread = False
        self.at.turned, self.at.waiting = self.now, NEVER
        self.session.overtake_filler()

    def sound(self) -> None:
        """Something of ours sounds."""
        if not self.sounding:
            self.sounding, self.at.sounded = True, self.now

    def fall_quiet(self) -> None:
        """Nothing of ours sounds any more; what was resumed and had no sound has ended no silence."""
        if self.sounding and self.now > self.at.resumed:
            self.at.quiet = self.now
        self.sounding = self.is_resumed = self.sounds_wanted = False

    def forget(self) -> None:
        """Drop what was set aside: it is known that the caller really spoke."""
        if self.aside is not None:
            self.aside = None
            self.emit(effects.Aside.FORGET)

    def take_for_answer(self, at: float) -> None:
        """Have words that the agent said then count as what the caller waits for."""
        self.at.answered, self.has_spoken = at, True

    def unsay_words(self) -> None:
        """Take words that came without any audio for unsaid."""
        if self.reply.has_own_words:
            self.at.answered, self.has_spoken, self.reply.has_own_words = LONG_AGO, False, False

    def close(self, closing: CloseAsked) -> None:
        """Have the call end so. The first wish holds, but a beep is not waited for to end at once."""
        if self.phase is Phase.HUSHED and not closing.sentence:
            self.closing = None
            self.enter(Phase.CLOSING)
        self.may_stay = False  # a second wish keeps a silent caller from staying
        if self.closing is None:
            self.closing, self.at.close_asked = closing, self.now

    def understand(self, said: CallerSaid) -> None:
        """Take the words of the caller's as their last turn.

        Hang up on a recording that begins anew: nobody says so much so often in the same words.
        """
        self.last_turn, self.transcript, self.is_away = said.text, words_of(said.text), said.asks_for_time
        self.at.understood, self.deaf_words, self.times_asked = self.now, 0, 0
        if len(self.transcript.split()) > LONGEST_ANSWER:
            self.long_turns[self.transcript] += 1
        if self.long_turns[self.transcript] >= self.numbers.loops:
            self.close(CloseAsked(MACHINE))

    def leave_turn(self) -> None:
        """Leave what belongs to the caller's turn before, as they have spoken anew, or pressed keys."""
        self.is_unended = self.owes_deed = False
        self.promise, self.is_reminded, self.is_urged = None, False, False

    def lose_session(self) -> None:
        """Leave the caller without a session. If its answer has begun, the next one is asked for the rest of it."""
        if self.debt is Debt.OWED and self.is_answered:
            self.last_turn = self.wording.go_on
        self.voice, self.at.vacated = VoiceState.ABSENT, self.now


NOTES: dict[Kind, list[tuple[int, str, object]]] = {}
"""What each kind of event moves in any state: the index of the part, the field and its value."""
for _index, _part in enumerate((TurnState, Session, Clocks)):
    for _field in attrs.fields(_part):
        for _kind, _value in _field.metadata.items():
            NOTES.setdefault(_kind, []).append((_index, _field.name, _value))
