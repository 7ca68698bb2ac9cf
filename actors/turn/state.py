"""The state of `Turn`, what can be asked of it, and the verbs that its changes are made of.

Everything here is written by `machine.py`, `tables.py` and `actions.py`, and by nobody else.
"""

import math

import attrs

from actors.policy import CallPolicy, Deadlines, Numbers, Wording
from actors.turn import effects
from actors.turn.effects import Effect, SayAsAgent
from actors.turn.events import CloseAsked, EndWanted, Recognised, TimePassed
from actors.turn.values import CallerState, Debt, Gate, Phase, SpeechKind, VoiceState

NEVER = math.inf
AT_ONCE = -math.inf


@attrs.define
class Clocks:
    """When each thing last happened; minus infinity: it has not. A rule is due so long after one of them.

    Each is moved by one verb, or by one note: half of the faults of turn-taking are clocks that an event has moved that
    should not.
    """

    heard: float = -math.inf
    """The service heard the caller begin, or proved that it hears them."""
    voiced: float = -math.inf
    """The line began, or ceased, to carry the caller's voice."""
    key: float = -math.inf
    """A key was pressed, of an entry that is not finished."""
    quiet: float = -math.inf
    """The last sound of ours ended."""
    cut: float = -math.inf
    """What sounded, or came, was cut: what was on its way may still come."""
    resumed: float = -math.inf
    wanted: float = -math.inf
    """Something was asked of the agent: by the caller, or with the answer of a function."""
    owed: float = -math.inf
    """The silence began in which the caller waits."""
    waiting: float = math.inf
    """The caller began to wait for this answer; infinity: they do not."""
    turned: float = -math.inf
    """It became the caller's turn: nothing was owed any more, or a session took the floor."""
    said: float = -math.inf
    """The agent said something, of its own accord or because it was asked to."""
    began: float = math.inf
    """The audio of the last reply began; infinity: it has none."""
    answered: float = -math.inf
    """The agent said something of its own accord."""
    done: float = -math.inf
    """The last reply was received."""
    alive: float = -math.inf
    """The service showed that it works on an answer."""
    outstanding: float = -math.inf
    filler: float = -math.inf
    asked: float = -math.inf
    """The caller was asked whether they are there."""
    refused: float = -math.inf
    """The service refused to say something."""
    told: float = -math.inf
    vacated: float = -math.inf
    """A session lost the floor."""
    phase: float = -math.inf
    """The phase of the call began, or its last sentence was asked for anew."""
    result: float = -math.inf
    """The model got the answer of a function."""
    remark: float = -math.inf
    close_asked: float = -math.inf
    closing_begun: float = -math.inf


@attrs.define(eq=False)
class TurnState:
    """All of it. The driver and the call read it, too."""

    policy: CallPolicy
    now: float
    deadlines: Deadlines = attrs.field(default=attrs.Factory(lambda self: self.policy.deadlines, True), init=False)
    wording: Wording = attrs.field(default=attrs.Factory(lambda self: self.policy.wording, True), init=False)
    numbers: Numbers = attrs.field(default=attrs.Factory(lambda self: self.policy.numbers, True), init=False)
    caller: CallerState = CallerState.QUIET
    voice: VoiceState = VoiceState.ABSENT
    debt: Debt = Debt.SETTLED
    phase: Phase = Phase.CONVERSING
    event: Recognised = attrs.field(factory=TimePassed)
    """It is being taken, or was the last."""
    at: Clocks = attrs.field(factory=Clocks)
    effects: list[Effect] = attrs.field(factory=list)

    # The line
    sounding: bool = False
    """The caller hears something of ours, or will."""
    is_loud: bool = False
    """The line carries the caller's voice."""
    aside: SpeechKind | None = None
    """What was cut and is kept. A false start brings an answer back, and nothing else."""
    is_torn: bool = False
    """The reply that goes on was cut before all of it had come."""
    is_resumed: bool = False
    """The reply that sounds was cut before, and resumed."""
    is_unended: bool = False
    """The last reply has stopped and AgentAudioDone has not come: it is over, or the service has broken it off."""
    withholds_end: bool = False
    """The service went on after such a reply: its AgentAudioDone is missing, and nothing else."""

    # What the agent says
    kind: SpeechKind = SpeechKind.ANSWER
    """Of the reply that is coming, or was the last."""
    has_own_words: bool = False
    """It has words that the model chose."""
    has_words: bool = False
    """Words of any kind have come, heard or not, since the last AgentAudioDone."""
    sounds_wanted: bool = False
    """Of what sounds, an answer is a part: if it is cut by a noise, all of it is wanted again."""
    has_spoken: bool = False
    """The agent has said something of its own accord since the caller, or a function, spoke."""
    outstanding: SayAsAgent | None = None
    """The injection that the service has neither begun nor refused."""
    rest: str = ""
    """The rest of the last such sentence that it has begun."""
    late_filler: str = ""
    """A filler that may still be said, and is not wanted any more."""
    fillers_said: int = 0
    own_filler: str = ""
    """The words of a slow function, said instead of a filler."""
    times_asked: int = 0
    """How often the caller was asked whether they are there, since they last spoke or pressed a key."""

    # What the service is told
    told: str = ""
    """Words that it was told as the caller's, and has not echoed."""
    last_turn: str = ""
    """The caller's last turn, if it can be asked again."""
    transcript: str = ""
    """The last words of the caller's, as long as neither the service nor the line has heard them speak again."""
    deaf_words: int = 0
    """How often the line has carried a word since the service last heard the caller."""
    owes_deed: bool = False
    """The caller waits for what the agent has announced, and for nothing else."""
    is_unread: bool = False
    """The caller has spoken, and the session was lost that was to transcribe it, or there was none."""

    # Functions
    running: set[str] = attrs.field(factory=set)
    handoffs: set[str] = attrs.field(factory=set)
    end: EndWanted | None = None
    transfer: str | None = None
    """The function that has asked for a person, and waits for the answer."""
    wish: str = ""
    """The function that has asked for a person, also when its session is gone; "" for a key."""
    times_reopened: int = 0
    announced: str = ""
    """A function that the agent has announced and not called."""
    asks_to_wait: bool = False
    """The agent's last words ask the caller to wait."""
    is_reminded: bool = False
    is_urged: bool = False
    """It was told to go on with a torn reply: once a turn, for a line that echoes tears each of them."""

    # What waits to be told or said
    is_opened: bool = False
    """The session's first words were heard, or it owes none."""
    keys: tuple[str, ...] = ()
    """The entries on the keypad that wait to be told to an agent."""
    wants_person: bool = False
    is_person_ordered: bool = False
    """An operator wants the caller put through."""
    why_no_person: str = ""
    remark: SayAsAgent | None = None
    """It waits for a pause."""
    remark_begun: str = ""
    """The id of the last one that an agent was heard to begin."""
    closing: CloseAsked | None = None
    may_stay: bool = False
    """The call is to close for the caller's silence, and for nothing else."""
    is_insisting: bool = False
    """The last sentence was asked for by an interruption."""
    is_closing_sent: bool = False
    """The last sentence was received whole: nothing behind it is to be heard."""
    is_aged: bool = False

    # Properties

    @property
    def gate(self) -> Gate:
        """Whether the agent's audio is heard, set aside or dropped."""
        if self.phase in (Phase.HUSHED, Phase.OVER) or self.is_closing_sent:
            return Gate.SHUT
        if self.phase is Phase.TAKEN_OVER:
            return Gate.OPEN
        if self.voice in (VoiceState.ABSENT, VoiceState.LATE):
            return Gate.SHUT
        if self.voice is VoiceState.CUT:
            return Gate.SHUT if self.aside is None else Gate.ASIDE
        return Gate.OPEN

    @property
    def is_pause(self) -> bool:
        """Whether nobody speaks, nothing is owed, and nothing is about to be said."""
        return (
            self.debt is Debt.SETTLED
            and self.voice is VoiceState.IDLE
            and self.caller is CallerState.QUIET
            and not (self.sounding or self.is_loud or self.running or self.outstanding or self.told)
            and self.now >= self.at.key + self.deadlines.digit_pause
        )

    @property
    def is_waited_for(self) -> bool:
        """Whether the caller waits for an agent, and has waited before this event."""
        return self.at.waiting < math.inf

    @property
    def silent_since(self) -> float:
        """Since when the caller waits and hears nothing. A clip without audio ends a silence like one with."""
        silent = max(self.at.owed, self.at.quiet)
        if not self.is_unended:
            return silent
        return math.inf if self.is_loud else max(silent, self.at.voiced)  # it may be the caller's turn

    @property
    def last_sound(self) -> float:
        """When anything was last heard on the line, of ours or of the caller's."""
        return max(self.at.quiet, self.at.voiced)

    @property
    def callers_turn_since(self) -> float:
        """Since when it is the caller's turn, while nothing is owed and nothing sounds."""
        return max(self.at.turned, self.at.quiet)

    @property
    def has_sound(self) -> bool:
        """Whether the last reply has audio."""
        return self.at.began < math.inf

    @property
    def is_asked_out(self) -> bool:
        """Whether the caller was asked as often as is worth it whether they are there."""
        return self.times_asked >= self.numbers.silent_asks

    @property
    def is_answered(self) -> bool:
        """Whether the agent's last words came after what was asked last: words before a function do not answer it."""
        return self.has_sound and not self.running and self.at.answered >= self.at.wanted

    @property
    def is_audible(self) -> bool:
        """Whether words that come now will be heard: no reply that was cut, and nothing behind the last sentence."""
        if self.phase in (Phase.HUSHED, Phase.OVER) or self.is_closing_sent:
            return False
        return self.voice not in (VoiceState.ABSENT, VoiceState.CUT)

    @property
    def may_be_told_heard(self) -> bool:
        """Whether a voice that the service hears now is what it was told: it has not answered it yet."""
        is_answering = self.at.alive >= self.at.told + self.deadlines.shortest_word
        return self.told != "" and not (self.is_loud or is_answering)

    @property
    def has_closing_begun(self) -> bool:
        """Whether the service says the last sentence of the call, or has said it."""
        return self.phase is Phase.CLOSING and self.at.closing_begun >= self.at.phase

    @property
    def may_be_reopened(self) -> bool:
        """Whether the caller's words bring back a conversation that the agent has ended."""
        return self.times_reopened < self.numbers.reopenings and self.closing is None

    @property
    def ends_upon_words(self) -> bool:
        """Whether the words that come now are those upon which the agent has ended: a function may come before them.

        (Deepgram reference, 6.3.) The caller had spoken for a word by then, and no longer than a breath since.
        """
        at, limits = self.at, self.deadlines
        is_heard = self.phase is Phase.ENDING and self.caller is CallerState.HEARD
        return is_heard and at.heard + limits.shortest_word <= at.phase and self.now <= at.phase + limits.goodbye_onset

    @property
    def has_answered_speech(self) -> bool:
        """Whether the agent has said anything since the caller began to speak."""
        return self.at.answered >= self.at.heard

    def repeats(self, text: str) -> bool:
        """Whether the service sends a transcript again: nobody has spoken since."""
        return bool(self.transcript) and text.strip() == self.transcript

    def has_room_for(self, keys: str) -> bool:
        """Whether an entry of keys can wait with the others."""
        return sum(map(len, self.keys)) + len(keys) <= self.numbers.most_keys

    # Verbs

    def emit(self, effect: Effect) -> None:
        """Have this performed, after what was emitted before."""
        self.effects.append(effect)

    def say(self, asked: SayAsAgent) -> None:
        """Ask the service to say something; what it is still to send of a cut reply is heard no more."""
        if self.voice in (VoiceState.CUT, VoiceState.LATE):
            self.voice = VoiceState.IDLE
        self.outstanding, self.rest, self.at.outstanding = asked, "", self.now
        self.emit(asked)

    def tell(self, text: str, keys: tuple[str, ...] = ()) -> None:
        """Tell the service something as the caller's words; it stops what it says."""
        if self.voice is VoiceState.LATE:
            self.voice = VoiceState.IDLE
        self.expect_words()
        self.told, self.at.told, self.at.wanted = text, self.now, self.now
        self.emit(effects.TellAsCaller(text, keys))

    def expect_words(self) -> None:
        """Take what the agent has said for no answer, unless it was announced only and is waited for."""
        self.has_spoken = self.has_spoken and self.owes_deed

    def enter(self, phase: Phase) -> None:
        self.phase, self.at.phase = phase, self.now

    def owe(self, since: float | None = None) -> None:
        """Have the caller wait for an agent since then, or now; who waits already waits in the same silence."""
        if not self.is_waited_for:
            self.at.owed = self.now if since is None else since
            self.at.waiting = self.now
        self.debt = Debt.OWED

    def owe_answer(self) -> None:
        """Have the caller wait for an answer to their words, since the last of them that the line has carried."""
        at, is_recent = self.at, self.now <= self.at.voiced + self.deadlines.latest_transcript
        if is_recent and not self.is_loud:
            at.owed = max(at.voiced, at.heard)
        elif self.is_loud or self.now <= at.heard + self.deadlines.latest_transcript or not self.is_waited_for:
            at.owed = self.now
        # Else it was said long ago, and is read from the tape: they are silent, and wait already
        at.waiting = min(at.waiting, self.now)

    def wait_anew(self) -> None:
        """Begin to be patient anew: a session may speak that could not before, or its model has what it asked for."""
        if self.is_waited_for:
            self.at.waiting = self.now

    def settle(self) -> None:
        """The caller waits for nothing; a filler that was asked for comes too late."""
        self.debt = Debt.SETTLED
        self.owes_deed = self.is_unread = False
        self.at.turned, self.at.waiting = self.now, math.inf
        self.overtake_filler()

    def overtake_filler(self) -> bool:
        """Want no more the filler that is outstanding; return whether one was."""
        if self.outstanding is None or self.outstanding.kind is not SpeechKind.FILLER:
            return False
        self.late_filler, self.outstanding = self.outstanding.text, None
        return True

    def fall_quiet(self) -> None:
        """Nothing of ours sounds any more; what was resumed and had no sound has ended no silence."""
        if self.sounding and self.now > self.at.resumed:
            self.at.quiet = self.now
        self.sounding = self.is_resumed = self.sounds_wanted = False

    def forget(self) -> None:
        """Drop what was set aside: it is known that the caller really spoke."""
        if self.aside is not None:
            self.aside = None
            self.emit(effects.Forget())

    def drop(self) -> None:
        """Cut what sounds, for good, and drop what was set aside."""
        self.forget()
        self.at.cut = self.now
        if self.sounding:
            self.emit(effects.Cut())
            self.emit(effects.Forget())
            self.fall_quiet()

    def resume(self, *, is_whole: bool) -> None:
        """Go on with what was cut: nobody has spoken."""
        self.aside = None
        self.voice = VoiceState.IDLE if is_whole else VoiceState.COMING
        self.is_torn = not is_whole
        self.sounding = self.is_resumed = self.sounds_wanted = True
        self.at.resumed = self.now
        self.emit(effects.Resume())

    def doubt(self, since: float) -> None:
        """Owe nothing but a word: the caller has been answered, and whether the service is there is not known."""
        self.is_unended = True
        self.at.wanted = min(self.at.wanted, self.at.answered)
        self.owe(since)
        self.at.waiting = self.now

    def went_on(self, now: float) -> bool:
        """Whether a reply that was cut, and ends now, has been sent to its end: an interruption is told at once."""
        return now >= self.at.cut + self.deadlines.shortest_word

    def unsay_words(self) -> None:
        """Take words that came without any audio for unsaid."""
        if self.has_own_words:
            self.at.answered, self.has_spoken, self.has_own_words = -math.inf, False, False

    def close(self, closing: CloseAsked) -> None:
        """Have the call end so. The first wish of several holds; a second one keeps a silent caller from staying."""
        self.may_stay = False
        if self.closing is None:
            self.closing, self.at.close_asked = closing, self.now

    def lose_session(self) -> None:
        """Be without a session that can be heard."""
        if self.voice is not VoiceState.ABSENT:
            self.at.vacated = self.now
        self.voice, self.is_aged = VoiceState.ABSENT, False
