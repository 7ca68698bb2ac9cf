"""Recognises events, and notes what each leaves behind in any state of the call.

`recognise` is pure: the service's messages have no ids, so an echo, the beginning of a sentence that was asked for, or
a goodbye that is withdrawn look like any other message. Text is compared with what is outstanding, and with nothing
else: it never classifies what a model has said.
"""

import math

from actors.turn import events
from actors.turn.effects import NoteSilence, SayAsAgent
from actors.turn.events import Event, Recognised
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Gate, Phase, SpeechKind, VoiceState

_SPEECH = (
    events.AudioBegan,
    events.AgentSaid,
    events.InjectionBegan,
    events.InjectionWentOn,
    events.LateFillerBegan,
)


def recognise(state: TurnState, event: Event) -> Recognised:
    """Return what an event turns out to be."""
    match event:
        case events.CallerSaid():
            return _recognise_turn(state, event)
        case events.CallerStartedSpeaking() if state.told and not (state.is_loud or state.is_told_heard):
            return events.ToldHeard()
        case events.AgentSaid():
            return _recognise_words(state, event)
        case events.FunctionCancelled(id=call_id):
            return _recognise_cancelled(state, event, call_id)
        case _:
            return event


def _recognise_turn(state: TurnState, event: events.CallerSaid) -> Recognised:
    if state.told and event.text.strip() == state.told.strip():
        return events.ToldEchoed()
    return events.TimePassed() if state.repeats(event.text) else event


def _recognise_words(state: TurnState, event: events.AgentSaid) -> Recognised:
    text, asked = event.text.strip(), state.outstanding
    if not text:
        return events.TimePassed()
    if asked is not None and asked.text.startswith(text):
        return events.InjectionBegan(asked.kind, asked.text.removeprefix(text).lstrip())
    if state.rest.startswith(text):
        return events.InjectionWentOn(state.rest.removeprefix(text).lstrip())
    if text == state.late_filler:
        return events.LateFillerBegan() if state.debt is Debt.SETTLED else events.InjectionBegan(SpeechKind.FILLER)
    return event


def _recognise_cancelled(state: TurnState, event: Event, call_id: str) -> Recognised:
    if call_id in state.handoffs:
        return events.HandoffEnded() if state.handoffs == {call_id} else event
    decision = state.transfer if state.phase is not Phase.ENDING or state.end is None else state.end.id
    return events.DecisionCancelled() if decision == call_id else event


def note(state: TurnState, event: Recognised) -> None:
    """Write down what an event leaves behind, whatever the state; each group below knows events of its own."""
    _note_caller(state, event)
    _note_line(state, event)
    if isinstance(event, _SPEECH):
        _note_speech(state, event)
    _note_end_of_speech(state, event)
    _note_session(state, event)
    _note_wish(state, event)
    _note_function(state, event)
    _note_withdrawal(state, event)


def _note_caller(state: TurnState, event: Recognised) -> None:
    match event:
        case events.CallerStartedSpeaking():
            state.unfilled, state.transcript, state.deaf_words = None, "", 0
        case events.CallerSaid(text=text):
            state.last_turn, state.transcript, state.deaf_words, state.times_asked = text, text.strip(), 0, 0
            state.is_unended = state.is_unread = state.owes_deed = False
            state.has_spoken = state.has_spoken and _keeps_goodbye(state)
            state.announced, state.asks_to_wait, state.is_reminded, state.is_urged = "", False, False, False
            state.unfilled, state.rest, state.at.wanted = None, "", state.now
        case events.ToldEchoed():
            state.transcript, state.told, state.at.wanted = state.told.strip(), "", state.now
            state.has_spoken = state.has_spoken and state.owes_deed  # what was announced is said already
        case events.ToldHeard():
            state.is_told_heard = True
        case _:
            pass  # of another group


def _keeps_goodbye(state: TurnState) -> bool:
    """Whether the goodbye that was said stands, although the caller's words come after it."""
    if state.ends_upon_words:
        return state.has_answered_speech
    return state.phase is Phase.ENDING and not state.may_be_reopened


def _note_line(state: TurnState, event: Recognised) -> None:
    match event:
        case events.VoiceBegan():
            state.is_loud, state.at.voiced, state.transcript = True, state.now, ""
        case events.VoiceEnded(at=at):
            is_word = at >= state.at.voiced + state.deadlines.shortest_word
            state.is_unread = state.is_unread or (is_word and state.voice is VoiceState.ABSENT)
            state.is_loud, state.at.voiced = False, at
            state.at.heard = min(state.at.heard, at)  # it was told late
            if state.owes_since_speech:  # the transcript came before the end of the word was certain
                state.at.owed, state.owes_since_speech = at, False
        case events.ThinkingBegan() if state.late_filler and state.at.alive <= state.at.filler:
            pass  # it hears the caller, and nobody hears it: it has neither said nor refused the filler
        case events.ThinkingBegan() | events.ThinkingSlow():
            state.at.alive = state.now
        case _:
            pass  # of another group


def _note_speech(state: TurnState, event: Recognised) -> None:
    state.at.alive = state.now
    if state.voice in (VoiceState.IDLE, VoiceState.LATE):  # a new reply
        state.kind, state.has_own_words, state.at.began, state.is_torn = SpeechKind.ANSWER, False, math.inf, False
        state.withholds_end, state.is_unended = state.withholds_end or state.is_unended, False
    match event:
        case events.AudioBegan() if state.gate is Gate.OPEN:
            _begin_sound(state)
        case events.AgentSaid():
            state.at.said, state.rest = state.now, ""
            state.overtake_filler()
            if state.is_audible:
                _note_own_words(state, event)
            else:
                state.has_missed_words = True
        case events.InjectionBegan(kind=kind, rest=rest):
            _note_injection(state, kind, rest)
        case events.InjectionWentOn(rest=rest):
            state.at.said, state.rest = state.now, rest
        case events.LateFillerBegan():
            state.at.said, state.late_filler = state.now, ""
        case _:
            pass  # of another group


def _begin_sound(state: TurnState) -> None:
    """The caller hears the reply, or hears it again; it may end a silence for which a filler was asked."""
    state.sounding = True
    state.at.began = min(state.at.began, state.now)
    if state.unfilled is not None:
        state.emit(NoteSilence(state.now - state.unfilled))
        state.unfilled = None


def _note_own_words(state: TurnState, event: events.AgentSaid) -> None:
    state.kind, state.has_own_words, state.has_spoken, state.sounds_wanted = SpeechKind.ANSWER, True, True, True
    state.at.answered = state.now
    if state.phase is Phase.CONVERSING and not state.is_reminded:  # else it is being done
        state.announced, state.asks_to_wait = event.announces or state.announced, event.asks_to_wait


def _note_injection(state: TurnState, kind: SpeechKind, rest: str) -> None:
    begun = state.outstanding
    if state.at.answered <= state.at.outstanding <= state.at.began:
        state.unsay_words()  # the audio behind them is not theirs
    state.at.said, state.rest, state.outstanding = state.now, rest, None
    if begun is not None and begun.id and state.is_audible:
        state.remark_begun = begun.id
    if not state.has_own_words:
        state.kind = kind
    if kind is SpeechKind.GREETING:
        state.kind, state.has_own_words, state.has_spoken = SpeechKind.ANSWER, True, True
        state.at.answered = state.now
    if kind is SpeechKind.FILLER:
        state.late_filler = ""
    if kind is SpeechKind.QUESTION:
        state.times_asked += 1
    if kind is SpeechKind.CLOSING:
        state.at.closing_begun = state.now


def _note_end_of_speech(state: TurnState, event: Recognised) -> None:
    match event:
        case events.AudioDone():
            state.at.done = state.now
            _take_words_for_granted(state)
            state.withholds_end = state.is_unended = False
            state.is_closing_sent = state.is_closing_sent or (state.has_closing_begun and not state.rest)
        case events.Played() if state.sounding:
            state.fall_quiet()
        case events.SayRefused():
            state.late_filler, state.at.refused, state.at.alive = "", state.now, state.now
            refused = state.outstanding
            if refused is not None and not refused.interrupts:
                state.outstanding = None
                if refused.kind is SpeechKind.REMARK and state.remark is None:
                    state.remark = refused
        case _:
            pass  # of another group


def _take_words_for_granted(state: TurnState) -> None:
    """Take a reply that was received whole, and not one word of it, for an answer: its words are lost."""
    has_words, state.has_missed_words = state.has_own_words or state.has_missed_words, False
    is_other = max(state.at.outstanding, state.at.cut) >= state.at.wanted
    if state.voice is VoiceState.COMING and state.has_sound and not (has_words or is_other):
        state.at.answered, state.has_spoken = state.at.began, True


def _note_session(state: TurnState, event: Recognised) -> None:
    match event:
        case events.FloorGiven(owes=owes, ask=ask):
            if state.phase is Phase.TAKEN_OVER:  # the operator was the last to speak
                state.at.quiet = state.now
            state.at.turned, state.transcript = state.now, ""
            state.is_unended = state.is_unended and not (owes or ask)
            if not state.is_unended:  # else the session has nothing of its own to say
                state.at.wanted = state.now
            state.wait_anew()
        case events.FloorVacated():
            state.is_unread = state.is_unread or state.caller is CallerState.HEARD
            state.lose_session()
        case events.SessionAged():
            state.is_aged = True
        case _:
            pass  # of another group


def _note_wish(state: TurnState, event: Recognised) -> None:
    match event:
        case events.KeyPressed():
            state.at.key = state.now
        case events.KeysEntered(keys=keys, wants_person=wants_person):
            state.times_asked, state.at.key = 0, -math.inf
            if state.has_room_for(keys):
                state.keys += (keys,)
                state.wants_person = wants_person and state.keys == (keys,)
        case events.RemarkMade(text=text, for_wait=True):
            state.own_filler = text
        case events.RemarkMade(text=text, id=remark_id):
            state.remark = SayAsAgent(SpeechKind.REMARK, text, id=remark_id) if text else None
            state.at.remark = state.now
        case events.PersonWanted(wanted=wanted):
            state.is_person_ordered = wanted
        case events.CloseAsked():
            state.close(event)
        case _:
            pass  # of another group


def _note_function(state: TurnState, event: Recognised) -> None:
    match event:
        case events.FunctionsAsked(ids=ids):
            state.at.alive = state.at.wanted = state.now
            state.own_filler = state.own_filler if state.running else ""
            state.running.update(ids)
            state.announced, state.asks_to_wait, state.is_unended, state.owes_deed = "", False, False, False
        case events.FunctionDone(id=call_id):
            state.running.discard(call_id)
            state.at.alive = state.at.wanted = state.at.result = state.now
            state.wait_anew()
            if not state.running and state.phase is Phase.CONVERSING:
                state.has_spoken = False  # what was said before the answer is no goodbye after it
        case events.TransferWanted(id=call_id) | events.EndWanted(id=call_id):
            state.running.discard(call_id)
        case events.HandoffWanted(id=call_id):
            state.running.discard(call_id)
            state.at.wanted = state.now
        case events.FunctionCancelled(id=call_id):
            state.running.discard(call_id)
            state.handoffs.discard(call_id)
            state.at.wanted = state.now
        case _:
            pass  # of another group


def _note_withdrawal(state: TurnState, event: Recognised) -> None:
    match event:
        case events.HandoffEnded():
            state.handoffs.clear()
            state.wait_anew()  # the session could say nothing meanwhile
        case events.DecisionCancelled():
            state.end = state.transfer = None
        case _:
            pass  # of another group
