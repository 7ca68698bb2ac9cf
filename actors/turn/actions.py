"""The actions of rows and rules, by subject. A method has no docstring where its name says enough."""

import attrs

from actors.policy import describe_keys
from actors.turn import effects
from actors.turn.effects import SayAsAgent, SpeechKind
from actors.turn.events import LONG_AGO, CloseAsked, EndWanted, FloorGiven, PutThroughFailed
from actors.turn.parts import CEASED, DEAF_WORDS, NEVER, Session
from actors.turn.state import SILENT, CallerState, Debt, Phase, TurnState, VoiceState


@attrs.define(eq=False)
class Actions(TurnState):
    """`TurnState`, with what is done to it."""

    # The session on the floor

    def take_floor(self) -> None:
        given, converses = self.event, self.phase is Phase.CONVERSING
        if isinstance(given, FloorGiven):  # no other event gives it
            self.leave_floor()
            self.is_opened = not given.owes
            self.sentences = given.sentences
            if not given.greeting:  # else it is the same service, with another agent
                self.session = Session()
            if converses:
                self._begin_session(given)
            if converses and given.greeting:
                self.say(SayAsAgent(SpeechKind.GREETING, given.greeting))
            if given.owes:
                self.owe(self.last_sound)

    def _begin_session(self, given: FloorGiven) -> None:
        """Ask it what it is to be asked; or have it pay what the one before it has left, unknown to its Settings."""
        is_owed = self.debt is Debt.OWED and not self.is_unended
        if given.ask:
            self.tell(given.ask)
        elif is_owed and self.last_turn and not given.owes:
            self._ask_turn_again()
        elif (is_owed or self.is_unread) and not given.owes:
            self._doubt(self.last_sound)

    def leave_floor(self) -> None:
        self.session.overtake_filler()
        late, self.session = self.session.late_filler, Session()
        self.session.late_filler = late
        self.forget()

    def open_session(self) -> None:
        self.is_opened = True

    def expect_no_echo(self) -> None:
        self.session.told = ""

    def end_session(self, why: str = "") -> None:
        self.emit(effects.EndSession(why))
        self.lose_session()

    def lose_silent(self) -> None:
        """The service is gone: the next session hears the caller's last word, if they have said one."""
        self.times_silent += 1
        self.is_unread = True
        self.end_session(CEASED)

    # The caller speaks, or seems to

    def notice(self) -> None:
        self.at.noticed = self.at.heard = self.now
        self.at.own_turn = self.now if self.debt is Debt.SETTLED else LONG_AGO

    def hear(self) -> None:
        """The service hears the caller again. It has not transcribed the sound before: that was a noise."""
        if self.is_loud and self.at.spoken >= self.at.noticed:
            self.at.anew = self.now

    def set_aside(self) -> None:
        """Cut what sounds and what is still to come of it, and keep it."""
        self.aside = SpeechKind.ANSWER if self.sounds_wanted else self.reply.kind
        self.reply.is_torn = self.voice is VoiceState.CUT
        self.emit(effects.Aside.CUT)
        self.fall_quiet()
        self.at.cut = self.now

    def drop(self) -> None:
        """Cut what sounds, for good, and drop what was set aside."""
        if self.sounding:
            self.set_aside()
        self.at.cut = self.now
        self.forget()

    def drop_answer(self) -> None:
        """The same, but for a clip: it is not the service's, which has stopped what it says."""
        if self.sounds_wanted:
            self.set_aside()
        self.at.cut = self.now
        self.forget()

    def false_start(self) -> None:
        """Nobody has spoken: resume the reply that was cut, or have the lost turn answered."""
        self.wait_anew()  # nobody could speak into it
        if self.aside is SpeechKind.ANSWER:
            onset = self.deadlines.goodbye_onset
            if self.at.resumed < self.at.cut <= self.at.resumed + onset and self.at.voiced <= self.at.cut + onset:
                self.hears_itself = True  # what was resumed was cut at once, and by no words: the line carries it back
            self._resume()
        self.forget()
        if self.voice is VoiceState.CUT:
            self.voice = VoiceState.IDLE
        is_promised = self.session.running or self.session.told or self.is_unended or self.at.result > self.at.heard
        if self.debt is Debt.OWED and not (self.sounding or is_promised):
            self._ask_turn_again()

    def go_on(self) -> None:
        """Resume an answer that polite words have cut; the model owes what was still to come of it."""
        self._resume()
        if self.reply.is_torn and not self.is_decided:
            self.is_urged = True
            self.owe()

    def _resume(self) -> None:
        """Go on with what was cut: nobody has spoken."""
        self.aside = None
        self.reply.is_torn = self.reply.is_torn and self.at.done < self.at.cut + self.deadlines.shortest_word
        self.voice = VoiceState.COMING if self.reply.is_torn else VoiceState.IDLE
        self.sound()
        self.is_resumed = self.sounds_wanted = True
        self.at.resumed = self.now
        if self.reply.is_torn:
            self.reply.began = NEVER  # of what is still to come of it
        is_own = self.reply.has_own_words and self.reply.kind is SpeechKind.ANSWER
        if is_own and self.at.said >= self.at.wanted:  # they may have come meanwhile
            self.take_for_answer(self.at.said)
        if self.is_answered and not self.is_unended:  # else it is the caller's word that is owed, until more is heard
            self.settle()
        self.emit(effects.Aside.RESUME)

    def _doubt(self, since: float) -> None:
        """Owe the caller a few words only: they have their answer, and the service may be gone."""
        self.is_unended = True
        self.at.wanted = self.at.answered
        self.owe(since)
        self.wait_anew()

    def _ask_turn_again(self) -> None:
        """Ask the caller's last turn again, once."""
        if self.last_turn and self.phase is Phase.CONVERSING:
            self.tell(self.last_turn)  # which is owed already

    def owe_withdrawn(self) -> None:
        """Owe an answer to the speech that cancelled a decision; if it was a noise, to the last turn or a few words."""
        (self.owe if self.last_turn else self._doubt)(self.last_sound)

    def doubt_hearing(self) -> None:
        """The caller has spoken to a service that does not hear them, or it was a noise: the next silence shows it."""
        self.deaf_words += self.caller is CallerState.QUIET  # else it has said that it hears them
        if self.is_waited_for and not (self.is_unended or self.owes_deed):
            return  # whether it answers what it has heard shows that it is there
        self._doubt(self.at.voiced)
        if self.deaf_words == DEAF_WORDS:
            self.end_session("it does not hear the caller")

    def doubt_understanding(self) -> None:
        """Nothing follows what line and service took for words: ask at once whether the caller is there."""
        is_word = self.phase is Phase.CONVERSING and self.at.spoken >= self.at.noticed
        # They said goodbye, too, or have asked for time; or a reminder comes, and shows whether the service is there
        is_known = self.has_parted or self.is_away or self.promise is not None
        is_idle = self.debt is Debt.SETTLED and self.voice is VoiceState.IDLE and not self.sounding
        if is_word and is_idle and not is_known:
            self._doubt(self.now - self.deadlines.silence_budget + self.deadlines.filler_lead)

    # A reply ends, or does not come

    def end_reply(self) -> None:
        """Take the reply as received; ask once for the part of it that a noise has cancelled."""
        if self.reply.is_torn and self.at.quiet >= self.at.cut:  # some of it was heard
            self.reply.began = min(self.reply.began, self.at.resumed)
        if not self.reply.has_sound:
            self.unsay_words()
        self.end_closing()
        has_end = self.withholds_end or self.is_ended  # the end is missing as a rule, or has come before the audio
        if self.phase is Phase.CONVERSING and self.reply.is_torn and not (self.session.told or self.is_urged):
            self.is_urged, last_turn = True, self.last_turn
            self.owe(self.at.quiet)
            self.tell(self.wording.go_on)
            self.last_turn = last_turn  # it is asked again if this comes to nothing
        elif self.phase is Phase.CONVERSING and self.is_answered and not has_end:
            self._doubt(self.at.quiet)
        elif self.is_answered:
            self.settle()

    def expire_injection(self) -> None:
        """Give up what was not begun. A session that does not greet is gone; so is one that twice asks no question."""
        has_spoken = self.caller is CallerState.HEARD or self.at.wanted > self.at.outstanding
        is_there = self.session.there >= self.at.outstanding and self.debt is Debt.SETTLED
        self.session.overtake_filler()
        is_unasked = self.session.is_to_say(SpeechKind.QUESTION) and not has_spoken
        if is_unasked and is_there and not self.session.has_ignored:
            self.session.has_ignored = True
            self.ask_caller()
            return
        if is_unasked:
            self._doubt(self.at.outstanding)  # the next session asks it
        if is_unasked or self.session.is_to_say(SpeechKind.GREETING):
            self.end_session("it does not say what it is asked to")
        self.session.outstanding = None

    # The agents' silence, and the caller's

    def fill_silence(self) -> None:
        """Ask for a filler, unless the session shows no sign of life (it may ignore one), or patience is spent."""
        at = self.at
        is_first = at.filler < at.waiting
        is_alive = is_first or bool(self.session.running) or at.alive >= at.filler
        if not (is_alive or self.session.has_ignored):
            is_alive = self.session.has_ignored = self.session.there >= at.filler
        is_worn = not self.session.running and self.now >= at.waiting + self.deadlines.think_patience
        if not is_alive:
            self.end_session("it gives no sign of life")
        elif is_worn:
            self.end_session("it thinks for too long")
        elif self.owes_deed and (self.has_parted or not is_first):
            self.settle()  # the model will not do what it was reminded of, and the caller has asked for nothing else
        elif self.is_unread or not self.is_unended:
            self.is_unread = False
            self._fill()
        elif self.is_asked_out:
            self.settle()  # the session speaks, and nobody answers it: an echo may be all that the line carries
        else:
            at.filler = self.now
            self.ask()  # they hear it, unless the service has broken its reply off

    def _fill(self) -> None:
        """Ask for a function's own words, or for the next filler."""
        own, self.own_filler = self.own_filler if self.session.running else "", ""
        text = own or self.sentences.fillers[self.fillers_said % len(self.sentences.fillers)]
        self.fillers_said += not own
        self.at.filler = self.now
        self.say(SayAsAgent(SpeechKind.FILLER, text, silence=self.now - self.silent_since))

    def play_clip(self) -> None:
        """Have the line play a filler: in the place of the one that was asked for, or of the next one."""
        silence = self.now - (self.silent_since if self.debt is Debt.OWED else self.last_sound)
        if not self.session.overtake_filler():
            self.fillers_said += 1
        self.sound()
        if self.voice in (VoiceState.ABSENT, VoiceState.IDLE):
            self.reply.kind = SpeechKind.FILLER
        self.emit(effects.PlayClip(silence))

    def ask(self, silence: float = 0.0) -> None:
        """Ask the caller whether they are there, after so many seconds of their silence; 0.0: the line is loud."""
        self.say(SayAsAgent(SpeechKind.QUESTION, self.sentences.still_there, silence=silence))

    def ask_caller(self) -> None:
        silent = max(self.callers_turn_since, self.at.voiced)
        is_refused = self.at.refused > silent and self.now >= silent + self.deadlines.longest_turn
        if self.has_parted:
            self.enter(Phase.OVER)
            self.end_completed()
        elif self.is_asked_out or is_refused:
            goodbye = self.sentences.closing if self.is_loud else self.sentences.silent_goodbye
            self.close(CloseAsked(SILENT, goodbye))
            self.may_stay = self.reopened.count(Phase.CLOSING) < self.numbers.reopenings
        else:
            self.ask(self.now - self.callers_turn_since)

    def remind(self) -> None:
        wording, function = self.wording, self.promise
        self.promise, self.is_reminded = None, True
        self.owe(self.callers_turn_since)  # which it was not
        self.owes_deed = True
        self.tell(wording.reminder.format(function=function) if function else wording.reminder_of_wait)

    # What waits to be told or said

    def tell_keys(self) -> None:
        keys, why = self.keys, self.why_no_person
        parts = [describe_keys(keys, self.policy.human_digit)] if keys else []
        self.keys, self.wants_person, self.is_person_ordered, self.why_no_person = (), False, False, ""
        self.leave_turn()
        self.owe()
        self.tell(" ".join([*parts, why]).strip(), keys)

    def say_remark(self) -> None:
        if self.remark is not None:
            self.say(self.remark)
        self.remark = None

    # Functions that decide: a handoff, a transfer, the end

    def refuse(self) -> None:
        """Two decisions in one request: the first holds, and what was said with it."""
        self.emit(effects.AnswerFunction(self.asking, self.wording.refused))

    def _answer(self, call_id: str, text: str) -> None:
        """Answer a function that asks for what cannot be had, or no longer."""
        self.want()
        self.at.result = self.now
        self.emit(effects.AnswerFunction(call_id, text))

    def hold(self) -> None:
        self.session.handoff = self.asking
        self.emit(effects.Listening.HOLD_TAPE)

    def start_transfer(self) -> None:
        self.session.transfer = self.wish = self.asking

    def refuse_end(self) -> None:
        self._answer(self.end.id, self.wording.refused)

    def announce_transfer(self) -> None:
        self.wish = ""
        self.drop()
        self.say(SayAsAgent(SpeechKind.TRANSFER, self.sentences.putting_through))

    def put_through(self) -> None:
        self.owe(max(self.last_sound, self.at.owed if self.wish else self.at.phase))
        self.enter(Phase.PUTTING_THROUGH)
        if self.session.is_to_say(SpeechKind.TRANSFER):
            self.session.outstanding = None
        self.emit(effects.PutThrough(self.wish))

    def fail_transfer(self) -> None:
        """Where a function asked, its task answers it; where none did, or its session is gone, the agent is told."""
        why = self.event.why if isinstance(self.event, PutThroughFailed) else self.wording.unanswered
        if not self.session.transfer:
            self.why_no_person = why
        self.session.transfer = ""
        self.wait_anew()

    def give_up_transfer(self) -> None:
        self.expect_words()  # what was said before is no sentence of another transfer
        if self.session.transfer:
            self._answer(self.session.transfer, self.wording.unanswered)
        self.fail_transfer()

    def start_ending(self) -> None:
        if isinstance(self.event, EndWanted):
            self.end = self.event
        if not self.has_spoken:
            self._answer(self.end.id, self.wording.ask_goodbye)

    def ask_goodbye(self) -> None:
        """What was said before the caller spoke is no goodbye."""
        if not self.has_answered_speech:
            self._answer(self.end.id, self.wording.ask_goodbye)

    def reopen(self) -> None:
        """The caller has spoken: it is answered, and the agent ends the conversation, or puts them through, anew."""
        transfer, self.session.transfer = self.session.transfer, ""
        self.reopened.append(Phase.TRANSFERRING if transfer else Phase.ENDING)
        self._answer(transfer or self.end.id, self.wording.taken_back if transfer else self.wording.reopened)

    def end_completed(self) -> None:
        unsaid = "" if self.has_spoken or self.has_parted else self.sentences.farewell
        self.emit(effects.EndConversation("completed", self.end.reason, heard=self.has_spoken, unsaid=unsaid))

    # The last sentence of a call that is to close

    def leave_caller(self) -> None:
        """Listen no more, owe nothing, and say nothing but the last sentence."""
        self.caller, self.session.outstanding = CallerState.QUIET, None
        self.settle()
        self.emit(effects.Listening.HOLD_TAPE)
        self.drop()

    def say_closing(self) -> None:
        if self.is_closing_sent:
            return  # the session before this one has sent it, and it plays on
        self.enter(Phase.CLOSING)
        self.drop()
        if self.voice is not VoiceState.ABSENT and self.closing is not None:
            self.say(SayAsAgent(SpeechKind.CLOSING, self.closing.sentence))

    def end_closing(self) -> None:
        """All audio was received. If that was the last sentence, nothing behind it is to be heard."""
        if self.has_closing_begun and not self.session.rest:
            self.is_closing_sent = True

    def stay(self) -> None:
        """Close no more: the caller is there after all. What they say is read from the tape."""
        self.reopened.append(Phase.CLOSING)
        self.session.outstanding = None
        if self.voice is not VoiceState.ABSENT:
            self.voice = VoiceState.CUT
        self.drop()
        self.emit(effects.Listening.FREE_TAPE)
        self.closing, self.is_closing_sent = None, False
        self.times_asked = 0

    def close_unsaid(self) -> None:
        if self.closing is not None:
            self.emit(effects.EndConversation(self.closing.outcome, unsaid=self.closing.sentence))

    def end_closed(self) -> None:
        if self.closing is not None:
            self.emit(effects.EndConversation(self.closing.outcome, heard=self.is_closing_sent))
