"""What rows and rules do, by subject; those whose name says it all have no more words."""

from actors.turn import effects
from actors.turn.effects import SayAsAgent
from actors.turn.events import CloseAsked, EndWanted, FloorGiven, HandoffWanted, PutThroughFailed, TransferWanted
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase, SpeechKind, VoiceState, describe_keys

_DEAF_WORDS = 2
"""So many words in a row that the service does not hear are its fault, and no noise."""
SILENT = "caller_silent"
"""The outcome of a call whose caller does not answer."""


# The session on the floor


def take_floor(state: TurnState) -> None:
    leave_floor(state)
    given = state.event
    if not isinstance(given, FloorGiven):
        return
    state.is_opened = not (given.owes or given.ask)
    if state.phase is not Phase.CONVERSING:
        return
    if given.ask:
        state.last_turn = ""
        state.tell(given.ask)
    elif state.debt is Debt.OWED and not (given.owes or state.is_unended):
        _take_debt_over(state)
    if given.greeting:
        state.say(SayAsAgent(SpeechKind.GREETING, given.greeting, interrupts=True))


def _take_debt_over(state: TurnState) -> None:
    """Have a session pay what the one before it has left, and that its Settings know nothing of."""
    if state.last_turn:
        _ask_turn_again(state)
    else:
        state.doubt(state.last_sound)


def leave_floor(state: TurnState) -> None:
    state.outstanding, state.rest, state.late_filler, state.told = None, "", "", ""
    state.unfilled, state.transfer = None, None
    state.running.clear()
    state.handoffs.clear()
    state.forget()


def open_session(state: TurnState) -> None:
    state.is_opened = True


def expect_no_echo(state: TurnState) -> None:
    state.told = ""


def renew(state: TurnState, *, is_old: bool = True) -> None:
    state.lose_session()
    state.emit(effects.RenewSession(is_old))


def restart_for_operator(state: TurnState) -> None:
    renew(state, is_old=False)


def _restart(state: TurnState, why: str) -> None:
    state.lose_session()
    state.emit(effects.RestartSession(why))


# The caller speaks, or seems to


def hear(state: TurnState) -> None:
    state.at.heard = state.now


def set_aside(state: TurnState) -> None:
    state.set_aside(is_wanted=state.kind is SpeechKind.ANSWER or state.sounds_wanted)


def drop_the_rest(state: TurnState) -> None:
    state.set_aside(is_wanted=False)


def complete(state: TurnState) -> None:
    """All of what is aside has come: if it is played on, nothing of it is missing."""
    if state.aside is not None:
        state.aside.was_coming = False


def false_start(state: TurnState) -> None:
    """The speech was none: resume the reply that it cut, or have the lost turn answered."""
    state.caller = CallerState.QUIET
    state.wait_anew()  # nobody could speak into it
    if state.voice is VoiceState.CUT:
        state.voice = VoiceState.IDLE
    if state.aside is not None and state.aside.is_wanted:
        state.resume(state.aside)
    else:
        state.forget()
    is_promised = state.running or state.told or state.is_unended or state.at.result > state.at.heard
    if state.debt is Debt.OWED and not (state.sounding or is_promised):
        _ask_turn_again(state)


def _ask_turn_again(state: TurnState) -> None:
    """Ask the caller's last turn again, once."""
    if state.last_turn and state.phase is Phase.CONVERSING:
        text, state.last_turn = state.last_turn, ""
        state.tell(text)  # which is owed already


def doubt_hearing(state: TurnState) -> None:
    """The caller has spoken to a service that does not hear them, or it was a noise: which, the next silence shows."""
    state.deaf_words += 1
    if state.is_waited_for and not state.is_unended:
        return  # whether it answers what it has heard shows that it is there
    state.at.owed = state.at.voiced  # they wait since then, and not since the reply stopped
    state.doubt(state.at.voiced)
    if state.deaf_words == _DEAF_WORDS:
        _restart(state, "it does not hear the caller")


def owe_since_the_last_sound(state: TurnState) -> None:
    state.owe(state.last_sound)


def wait_for_the_unread(state: TurnState) -> None:
    state.doubt(state.last_sound)


# A reply ends, or does not come


def end_reply(state: TurnState) -> None:
    """Take the reply for received; what a noise has cancelled of it is asked for."""
    if not state.has_sound:
        state.unsay_words()
    state.voice = VoiceState.IDLE
    state.is_closing_sent = state.is_closing_sent or (state.has_closing_begun and not state.rest)
    if _may_be_urged(state):
        state.is_torn, state.is_urged = False, True
        state.owe()
        state.tell(state.wording.go_on)
    elif state.is_answered:
        _end_unended(state)


def _may_be_urged(state: TurnState) -> bool:
    """Whether a noise has torn the reply, and the agent may be told to go on with it."""
    may_be = state.phase is Phase.CONVERSING and not (state.told or state.is_urged)
    return may_be and state.is_torn and state.kind is SpeechKind.ANSWER


def _end_unended(state: TurnState) -> None:
    """The caller has been answered, or has been left in the middle of it: which, the next silence shows."""
    has_end = state.withholds_end or state.at.done >= state.at.said  # it is missing, or came before the audio
    if has_end or state.phase is not Phase.CONVERSING:
        state.settle()
        return
    state.doubt(state.at.quiet)


def expire_injection(state: TurnState) -> None:
    """Give up what was not begun. A session that does not greet, or does not ask a silent caller, is gone itself."""
    lost, state.outstanding = state.outstanding, None
    if lost is None:
        return
    has_spoken = state.caller is CallerState.HEARD or state.at.wanted > state.at.outstanding
    if lost.kind is SpeechKind.FILLER:
        state.late_filler = lost.text
    elif lost.kind is SpeechKind.GREETING or (lost.kind is SpeechKind.QUESTION and not has_spoken):
        if lost.kind is SpeechKind.QUESTION:
            state.doubt(state.at.outstanding)  # the next session asks it
        _restart(state, "it does not say what it is asked to")


# The agents' silence, and the caller's


def fill_silence(state: TurnState) -> None:
    """Ask for a filler, unless the session has given no sign of life since the last one, or all patience is spent."""
    at = state.at
    is_first = at.filler < at.waiting
    is_alive = is_first or bool(state.running) or at.alive >= at.filler
    is_worn = not state.running and state.now >= at.waiting + state.deadlines.think_patience
    if not is_alive:
        _restart(state, "it gives no sign of life")
    elif is_worn:
        _restart(state, "it thinks for too long")
    elif state.owes_deed and not is_first:
        state.settle()  # the model will not do what it was reminded of, and the caller has asked for nothing else
    elif state.is_unended and state.is_unread:
        state.is_unread = False
        _fill(state, _next_filler(state))
    elif state.is_unended and state.is_asked_out:
        state.settle()  # the session speaks, and nobody answers it: an echo may be all that the line carries
    elif state.is_unended:
        state.unfilled, at.filler = state.silent_since, state.now
        ask(state)  # they hear it, unless the service has broken its reply off
    else:
        own, state.own_filler = state.own_filler if state.running else "", ""
        _fill(state, own or _next_filler(state))


def _fill(state: TurnState, text: str) -> None:
    state.unfilled, state.at.filler = state.silent_since, state.now
    state.say(SayAsAgent(SpeechKind.FILLER, text, silence=state.now - state.silent_since))


def _next_filler(state: TurnState) -> str:
    """Return another filler than the last one."""
    state.fillers_said += 1
    return state.wording.fillers[(state.fillers_said - 1) % len(state.wording.fillers)]


def play_clip(state: TurnState) -> None:
    """Have the line play a filler: in the place of the one that was asked for, or of the next one."""
    silence = state.now - (state.silent_since if state.debt is Debt.OWED else state.last_sound)
    if not state.overtake_filler():
        state.fillers_said += 1
    state.at.clip, state.sounding, state.unfilled = state.now, True, None
    if state.voice in (VoiceState.ABSENT, VoiceState.IDLE):
        state.kind = SpeechKind.FILLER
    state.emit(effects.PlayClip(silence))


def ask(state: TurnState, silence: float = 0.0) -> None:
    """Ask the caller whether they are there, after so many seconds of their silence; 0.0: the line is loud."""
    state.at.asked = state.now
    state.say(SayAsAgent(SpeechKind.QUESTION, state.wording.still_there, silence=silence))


def ask_caller(state: TurnState) -> None:
    if state.is_asked_out:
        goodbye = state.wording.closing if state.is_loud else state.wording.silent_goodbye
        state.close(CloseAsked(SILENT, goodbye))
        state.may_stay = state.times_reopened < state.numbers.reopenings
    else:
        ask(state, state.now - state.callers_turn_since)


def remind(state: TurnState) -> None:
    wording, function = state.wording, state.announced
    state.announced, state.asks_to_wait, state.is_reminded = "", False, True
    state.last_turn = ""  # it is answered
    state.owe(state.callers_turn_since)  # which it was not
    state.owes_deed = True
    state.tell(wording.reminder.format(function=function) if function else wording.reminder_of_wait)


# What waits to be told or said


def end_callers_turn(state: TurnState) -> None:
    """The keys are the end of it: what was said before them is to be understood before them."""
    state.emit(effects.EndCallersTurn())


def tell_keys(state: TurnState) -> None:
    keys, why = state.keys, state.why_no_person
    parts = [describe_keys(keys, state.policy.human_digit)] if keys else []
    state.keys, state.wants_person, state.is_person_ordered, state.why_no_person = (), False, False, ""
    state.has_spoken, state.last_turn, state.owes_deed = False, "", False
    state.owe()
    state.tell(" ".join([*parts, why]).strip(), keys)


def say_remark(state: TurnState) -> None:
    if state.remark is not None:
        state.say(state.remark)
    state.remark = None


# Functions that decide: a handoff, a transfer, the end


def refuse(state: TurnState) -> None:
    """Two decisions in one request: the first holds."""
    if isinstance(state.event, HandoffWanted | TransferWanted | EndWanted):
        _answer(state, state.event.id, state.wording.refused)


def _answer(state: TurnState, call_id: str, text: str) -> None:
    """Answer a function that asks for what cannot be had, or no longer."""
    state.at.wanted = state.now
    state.emit(effects.AnswerFunction(call_id, text))


def hold(state: TurnState) -> None:
    if isinstance(state.event, HandoffWanted):
        state.handoffs.add(state.event.id)
    hold_tape(state)


def hold_tape(state: TurnState) -> None:
    state.emit(effects.HoldTape())


def free(state: TurnState) -> None:
    state.emit(effects.FreeTape())


def start_transfer(state: TurnState) -> None:
    if isinstance(state.event, TransferWanted):
        state.transfer = state.wish = state.event.id


def announce_transfer(state: TurnState) -> None:
    state.enter(Phase.TRANSFERRING)
    state.wish = ""
    state.drop()
    state.say(SayAsAgent(SpeechKind.TRANSFER, state.wording.putting_through, interrupts=True))


def put_through(state: TurnState) -> None:
    state.owe(max(state.last_sound, state.at.phase))
    state.enter(Phase.PUTTING_THROUGH)
    state.outstanding = None
    state.emit(effects.PutThrough(state.wish))


def fail_transfer(state: TurnState) -> None:
    """The function that asked is answered by its task; where none did, or its session is gone, the agent is told."""
    if state.transfer is None and isinstance(state.event, PutThroughFailed):
        state.why_no_person = state.event.why
    state.transfer = None
    state.wait_anew()


def give_up_transfer(state: TurnState) -> None:
    state.enter(Phase.CONVERSING)
    state.wait_anew()
    if state.transfer is None:
        state.why_no_person = state.wording.unanswered
    else:
        _answer(state, state.transfer, state.wording.unanswered)
        state.transfer = None


def start_ending(state: TurnState) -> None:
    state.end = state.event if isinstance(state.event, EndWanted) else None
    if not state.has_spoken:
        _answer_end(state, state.wording.ask_goodbye)


def _answer_end(state: TurnState, text: str) -> None:
    if state.end is not None:
        _answer(state, state.end.id, text)


def ask_goodbye(state: TurnState) -> None:
    """What was said before the caller spoke is no goodbye."""
    if not state.has_answered_speech:
        _answer_end(state, state.wording.ask_goodbye)


def reopen(state: TurnState) -> None:
    """The caller has spoken after the goodbye: it is answered, and the agent ends the conversation anew."""
    state.times_reopened += 1
    _answer_end(state, state.wording.reopened)
    state.end = None


def end_completed(state: TurnState) -> None:
    state.phase = Phase.OVER
    reason = state.end.reason if state.end is not None else ""
    state.emit(effects.EndConversation("completed", reason, heard=state.has_spoken))


# The last sentence of a call that is to close


def hush(state: TurnState) -> None:
    state.enter(Phase.HUSHED)
    _leave_caller(state)


def _leave_caller(state: TurnState) -> None:
    """Listen no more, owe nothing, and say nothing but the last sentence."""
    state.caller, state.outstanding, state.rest = CallerState.QUIET, None, ""
    state.settle()
    hold_tape(state)
    state.drop()


def start_closing(state: TurnState) -> None:
    insists = state.sounding
    _leave_caller(state)
    say_closing(state, insists=insists)


def say_closing(state: TurnState, *, insists: bool = True) -> None:
    """Have the last sentence said; now, whatever else sounds, if it `insists`."""
    state.enter(Phase.CLOSING)
    state.is_insisting, state.is_closing_sent = insists, False
    state.drop()
    if state.voice is not VoiceState.ABSENT and state.closing is not None:
        state.say(SayAsAgent(SpeechKind.CLOSING, state.closing.sentence, interrupts=insists))


def stay(state: TurnState) -> None:
    """Close no more: the caller is there after all. What they say is read from the tape."""
    state.enter(Phase.CONVERSING)
    free(state)
    state.outstanding = None
    if state.voice is VoiceState.COMING:
        state.voice = VoiceState.CUT
        drop_the_rest(state)
    else:
        state.drop()
    state.closing, state.is_closing_sent, state.rest = None, False, ""
    state.times_reopened, state.times_asked = state.times_reopened + 1, 0


def close_unsaid(state: TurnState) -> None:
    if state.closing is not None:
        state.phase = Phase.OVER
        state.emit(effects.SayByLine(state.closing.outcome, state.closing.sentence))


def end_closed(state: TurnState) -> None:
    if state.closing is not None:
        state.phase = Phase.OVER
        state.emit(effects.EndConversation(state.closing.outcome, "", heard=state.is_closing_sent))
