"""`Turn`: the machine that the driver feeds.

The law of this folder: a message is first recognised for what it is, and what it leaves behind is noted. Then one row
of each table is chosen by the state *before* the event, and all four act. Then the first rule that is due fires, again
and again, until none is due. One `Turn` lives as long as the call: a restart or a handoff loses nothing.
"""

import attrs

from actors.turn import events
from actors.turn.actions import Actions
from actors.turn.effects import Effect, Gate, NoteSilence, SayAsAgent, SpeechKind
from actors.turn.events import NOW, SPEECH, Event, Recognised, Signal, kind_of
from actors.turn.parts import JUST_BEHIND, NEVER, LastReply, words_of
from actors.turn.rules import RULES_IN
from actors.turn.state import NOTES, CallerState, Debt, Phase, VoiceState
from actors.turn.tables import TABLES, take

_WITH_A_PERSON = (Phase.TRANSFERRING, Phase.PUTTING_THROUGH, Phase.TAKEN_OVER)
"""The caller has one on the line, or is about to."""
_MOST_RULES_AT_ONCE = 20
"""More than can be due together: a rule that does not undo its own condition costs a call time, and not its life."""


@attrs.define(eq=False)
class Turn(Actions):
    """Whose turn it is on one call. It begins at `now`, when no session is there yet."""

    _deadline: float = attrs.field(default=NEVER, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin the first silence, in which a clip may be due."""
        self._fire_rules()

    def on(self, event: Event, now: float) -> list[Effect]:
        """Take an event; return what is to be done about it, in this order."""
        if self.phase is Phase.OVER:
            return []
        self.now = now
        self.event = self._recognise(event)
        self._note(self.event)
        take(self, [table.row(self) for table in TABLES])
        self._fire_rules()
        effects, self.effects = self.effects, []
        return effects

    def deadline(self) -> float:
        """Return when `TIME_PASSED` is due; infinity: never."""
        return self._deadline

    def _fire_rules(self) -> None:
        for _ in range(_MOST_RULES_AT_ONCE):
            self._deadline = NEVER
            for rule in RULES_IN[self.phase]:
                if (due := rule.due_at(self)) < self._deadline:
                    self._deadline = due
                    if due <= self.now:
                        take(self, rule.then)
                        break
            else:
                return

    # What only the driver and the call read

    @property
    def is_audio_news(self) -> bool:
        """Whether the next frame of the agent's audio is to be told (`AUDIO_BEGAN`)."""
        is_new = self.voice is VoiceState.IDLE or not (self.sounding and self.reply.has_sound)
        return is_new and self.gate is Gate.OPEN

    @property
    def is_ending(self) -> bool:
        """Whether the call ends, and no agent has anything left to say: no other session need come."""
        is_said = self.is_closing_sent or self.phase is Phase.OVER
        return is_said or (self.phase is Phase.ENDING and self.debt is Debt.SETTLED)

    @property
    def ended_by(self) -> str:
        """The function that has ended the conversation, unless it has gone on since."""
        return self.end.id if self.phase in (Phase.ENDING, Phase.OVER) else ""

    @property
    def runs_functions(self) -> bool:
        """Whether what the model asks for is to be carried out: no more, once the last sentence is due."""
        return self.phase not in {Phase.HUSHED, Phase.CLOSING, Phase.OVER}

    def awaits_remark(self, remark_id: str) -> bool:
        """Whether an operator's sentence waits for a pause, or for the service to begin it."""
        return any(asked is not None and asked.id == remark_id for asked in (self.remark, self.session.outstanding))

    # Events

    def _recognise(self, event: Event) -> Recognised:
        """Return what an event turns out to be; change nothing.

        The service's messages have no ids, so an echo, the beginning of a sentence that was asked for, or a goodbye
        that is withdrawn look like any other message. What a model says is compared with what it was asked to say, and
        with nothing else.
        """
        match event:
            case events.CallerSaid(text=text):
                return self._recognise_turn(event, text)
            case Signal.CALLER_STARTED_SPEAKING if self.session.told and not self.is_loud:
                is_answered = self.at.alive >= self.at.told + self.deadlines.shortest_word
                is_another = self.now > self.at.cut + JUST_BEHIND and self.at.cut > self.at.told
                return event if is_answered or is_another else Signal.TOLD_HEARD
            case events.AgentSaid():
                return self._recognise_words(event)
            case events.FunctionCancelled(id=call_id) if call_id == self.session.handoff:
                return Signal.HANDOFF_ENDED
            case events.FunctionCancelled(id=call_id) if call_id == (self.ended_by or self.session.transfer):
                return Signal.DECISION_CANCELLED
            case _:
                return event

    def _recognise_turn(self, event: events.CallerSaid, text: str) -> Recognised:
        if self.echoes(text):
            return Signal.TOLD_ECHOED
        if self.repeats(text):
            return Signal.TIME_PASSED
        is_answer = self.sounds_wanted or self.aside is SpeechKind.ANSWER  # it sounds, or was cut and may be played on
        only_listens = is_answer and not self.ends_upon_words and not event.is_farewell
        is_spoken_into = self.is_spoken_over or only_listens
        is_polite = self.is_own_echo(text, self.now) or (event.is_courtesy and not self.has_asked and is_spoken_into)
        is_answered = is_polite or (self.answers_late_words and not self.is_spoken_over)
        return events.TurnToldLate(event, is_polite) if is_answered else event

    def _recognise_words(self, event: events.AgentSaid) -> Recognised:
        text, asked = event.text.strip(), self.session.outstanding
        if not text:
            return Signal.TIME_PASSED
        if asked is not None and asked.text.startswith(text):
            return events.InjectionBegan(asked, asked.text.removeprefix(text).lstrip())
        is_coming = self.voice in (VoiceState.COMING, VoiceState.LATE)
        if is_coming and self.reply.asked.endswith(f"{text} {self.session.rest}".strip()):
            return Signal.TIME_PASSED  # it is told twice
        if self.session.rest.startswith(text):
            return events.InjectionWentOn(self.session.rest.removeprefix(text).lstrip())
        if text == self.session.late_filler and self.debt is Debt.OWED:
            return events.InjectionBegan(SayAsAgent(SpeechKind.FILLER, text))
        return Signal.LATE_FILLER_BEGAN if text == self.session.late_filler else event

    def _note(self, event: Recognised) -> None:
        """Write down what an event leaves behind, whatever the state; each group below knows events of its own."""
        self._note_caller(event)
        if kind_of(event) in SPEECH:
            self._note_speech(event)
        self._note_service(event)
        self._note_session(event)
        self._note_wish(event)
        self._note_function(event)
        parts = self, self.session, self.at
        for index, name, value in NOTES.get(kind_of(event), ()):
            setattr(parts[index], name, self.now if value is NOW else value)

    def _note_caller(self, event: Recognised) -> None:
        match event:
            case events.CallerSaid():
                self.understand(event)
                self.leave_turn()
                self.want()
                self.has_spoken = self.has_spoken and self.keeps_goodbye
            case events.TurnToldLate():
                self._note_late_turn(event)
            case Signal.TOLD_ECHOED:
                self.transcript = words_of(self.session.told)
                self.want()
                self.expect_words()
            case events.VoiceEnded(at=at):
                is_word = self.at.end_voice(at, self.deadlines.shortest_word, was_loud=self.is_loud)
                self.is_unread = self.is_unread or (is_word and self.voice is VoiceState.ABSENT)
            case _:
                pass  # of another group

    def _note_late_turn(self, event: events.TurnToldLate) -> None:
        """What was said before polite words is no goodbye upon them, unless it has been decided that it is."""
        if event.is_polite and not self.is_decided:
            self.has_spoken = False
            if self.aside:  # the rest of what they have not cut settles it
                self.want()
        if self.is_own_echo(event.said.text, self.now):
            self.hears_itself, self.transcript = True, words_of(event.said.text)
        else:
            self.understand(event.said)

    def _note_speech(self, event: Recognised) -> None:
        self.has_words = self.has_words or event is not Signal.AUDIO_BEGAN
        said, is_asked = self.reply, self.reply.kind is not SpeechKind.ANSWER
        is_whole = said.began < self.at.wanted or (is_asked and said.has_sound and not self.session.rest)
        goes_on = event is Signal.AUDIO_BEGAN and self.now <= self.at.quiet + JUST_BEHIND  # another takes longer
        is_played_out = is_whole and not (self.sounding or goes_on)  # more was asked for since, or all was said
        if self.voice in (VoiceState.IDLE, VoiceState.LATE) or (self.voice is VoiceState.COMING and is_played_out):
            if not said.has_sound:
                self.unsay_words()
            self.reply = LastReply()
            self.withholds_end, self.is_unended = self.withholds_end or self.is_unended, False
        match event:
            case Signal.AUDIO_BEGAN if self.gate is Gate.OPEN:
                self._begin_sound()
            case events.AgentSaid():
                self._note_own_words(event)
            case events.InjectionBegan():
                self._note_injection(event)
            case events.InjectionWentOn(rest=rest):
                self.session.rest = rest
            case Signal.LATE_FILLER_BEGAN:
                self.reply.begin_as(SpeechKind.FILLER, self.session.late_filler)
            case _:
                pass  # it goes on, or is not heard

    def _begin_sound(self) -> None:
        """The caller hears the reply, or hears it again; it may end a silence for which a filler was asked."""
        if self.waits_in_silence and self.at.filler >= self.silent_since:
            self.emit(NoteSilence(self.now - self.silent_since))
        self.sound()
        if self.at.answered <= self.at.done <= self.at.outstanding:
            self.unsay_words()  # they had no audio, and this is another's
        self.reply.began = max(self.now, self.at.wanted)

    def _note_own_words(self, event: events.AgentSaid) -> None:
        self.has_asked, self.asks_to_wait = event.asks, event.asks_to_wait and not event.takes_leave
        self.own_words += f" {event.text}"
        self.session.overtake_filler()
        is_heard = self.is_audible
        if not is_heard and self.aside is None:
            return
        self.reply.take_own_words()
        self.reply.takes_leave = self.reply.takes_leave or event.takes_leave
        if is_heard:
            self.sounds_wanted = True
            self.take_for_answer(max(self.now, self.at.wanted))
        else:
            self.aside = SpeechKind.ANSWER  # some of its audio may be there already
        if self.phase is Phase.CONVERSING and not self.is_reminded:  # else it is being done
            first, second = (self.promise, event.announces) if event.takes_leave else (event.announces, self.promise)
            self.promise = first or second or ("" if event.asks_to_wait else None)  # a goodbye hides nothing else

    def _note_injection(self, event: events.InjectionBegan) -> None:
        begun = event.begun
        self.session.begin(begun, event.rest)
        self.own_words += f" {begun.text}"
        if self.at.answered <= self.at.outstanding <= self.reply.began:
            self.unsay_words()  # the audio behind them is not theirs
        if begun.id and self.is_audible:
            self.remark_begun = begun.id
        self.reply.begin_as(begun.kind, begun.text)
        if begun.kind is SpeechKind.GREETING:
            self.reply.take_own_words()
            self.take_for_answer(max(self.now, self.at.wanted))
        if begun.kind is SpeechKind.QUESTION:
            self.times_asked += 1

    def _note_service(self, event: Recognised) -> None:
        match event:
            case Signal.AUDIO_DONE:
                self._take_words_for_granted()
                self.transcript = self.transcript if self.sounding else ""
                self.end_closing()
            case Signal.PLAYED:
                is_heard = self.is_resumed and self.now >= self.at.resumed + self.deadlines.shortest_word
                if is_heard and self.is_answered:
                    self.settle()
                self.fall_quiet()
                self.transcript = "" if self.voice is VoiceState.IDLE else self.transcript
            case Signal.SAY_REFUSED:
                self._note_refusal()
            case Signal.THINKING_BEGAN if not self.session.late_filler:
                self.at.alive = self.now  # else it hears the caller, and has neither said nor refused the filler
            case _:
                pass  # of another group

    def _note_refusal(self) -> None:
        is_again = self.now < self.at.refused + self.deadlines.shortest_word  # it may be told in two ways
        refused = self.session.outstanding
        if refused is not None and not refused.interrupts:  # a filler that was asked for before may still come
            self.session.outstanding = None
            self.remark = self.remark or (refused if refused.kind is SpeechKind.REMARK else None)
        elif not is_again:
            self.session.late_filler = ""

    def _take_words_for_granted(self) -> None:
        """Take a reply for an answer that came whole, but without its words: they were lost.

        What begins just behind an end is the rest of what came before it, for an answer takes longer.
        """
        is_other = self.at.cut > self.at.done or self.session.is_to_speak
        is_rest = self.reply.began <= self.at.done + JUST_BEHIND
        if self.voice is VoiceState.COMING and self.reply.has_sound and not (self.has_words or is_other or is_rest):
            self.take_for_answer(self.reply.began)

    def _note_session(self, event: Recognised) -> None:
        match event:
            case events.FloorGiven(owes=owes):
                if self.phase is Phase.TAKEN_OVER:  # the operator was the last to speak, and has heard the caller
                    self.at.quiet, self.is_unread = self.now, False
                if owes:
                    self.is_unended = self.owes_deed = False
                if not self.is_unended:  # else the session has nothing of its own to say
                    self.want()
                self.wait_anew()
            case Signal.FLOOR_VACATED:
                is_missed = self.is_unended and self.at.spoken > self.at.understood
                self.is_unread = self.is_unread or is_missed or self.caller is CallerState.HEARD
                if self.voice is not VoiceState.ABSENT:  # else it was lost when another was asked for
                    self.lose_session()
            case _:
                pass  # of another group

    def _note_wish(self, event: Recognised) -> None:
        match event:
            case events.KeysEntered():
                self._note_keys(event)
            case events.RemarkMade(text=text, for_wait=True):
                self.own_filler = text
            case events.RemarkMade(text=text, id=remark_id):
                self.remark = SayAsAgent(SpeechKind.REMARK, text, id=remark_id) if text else None
                self.at.remark = self.now
            case events.CloseAsked():
                self.close(event)
            case _:
                pass  # of another group

    def _note_keys(self, entered: events.KeysEntered) -> None:
        """Behind words whose end is missing, and not behind their own, the caller takes their turn: they have heard."""
        if self.is_unended and not self.is_unread and self.at.spoken <= self.at.understood:
            self.settle()
        is_granted = entered.wants_person and self.phase in _WITH_A_PERSON
        if self.has_room_for(entered.keys) and not is_granted:
            self.keys += (entered.keys,)
            self.wants_person = entered.wants_person and (self.wants_person or self.keys == (entered.keys,))

    def _note_function(self, event: Recognised) -> None:
        match event:
            case events.FunctionsAsked(ids=ids, lasting=lasting):
                self.own_filler = self.own_filler if self.session.running else ""
                self.session.running.update(ids)
                self.session.lasting.update(lasting)
            case events.FunctionDone(id=call_id):
                self.session.running.discard(call_id)
                if not self.has_asked:  # else the caller has been asked something with the call of it
                    self.want()
                self.wait_anew()
                self._forget_said()
            case events.TransferWanted() | events.EndWanted():
                self.session.running.discard(event.id)
                is_no_goodbye = self.asks_to_wait and isinstance(event, events.EndWanted)
                self.has_spoken = self.has_spoken and not is_no_goodbye
            case events.HandoffWanted() | events.FunctionCancelled():
                self.session.running.discard(event.id)
                if self.phase is Phase.CONVERSING:  # else the call does something else, which waits for no answer
                    self.want()
                    self._forget_said()
            case Signal.HANDOFF_ENDED:
                self.wait_anew()  # the session could say nothing meanwhile
            case _:
                pass  # of another group

    def _forget_said(self) -> None:
        """What was said before the end of the last function is no goodbye after it."""
        self.has_spoken = self.has_spoken and (bool(self.session.running) or self.phase is not Phase.CONVERSING)
