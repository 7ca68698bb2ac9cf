"""What time does: a list of rules in order of priority.

A rule is due when the phase is one of its phases, all of its conditions hold, and its time has come. What it does ends
the condition, or moves the clock that it counts from. A rule also ends each effect whose event does not come.
"""

from collections.abc import Callable
from typing import TypeAlias

import attrs

from actors.turn.effects import HoldTape, PutThrough, RenewSession, SayByLine, TellReason
from actors.turn.events import CloseAsked
from actors.turn.state import AT_ONCE, NEVER, TurnState
from actors.turn.tables import false_start, say_closing
from actors.turn.values import CallerState, Debt, Phase, SpeechKind, VoiceState, describe_keys

Condition: TypeAlias = Callable[[TurnState], bool]

SILENT = "caller_silent"
"""The outcome of a call whose caller does not answer."""


@attrs.frozen
class Rule:
    """What happens when nothing happens."""

    name: str
    phases: frozenset[Phase]
    conditions: tuple[Condition, ...]
    due: Callable[[TurnState], float]
    action: Callable[[TurnState], None]

    def due_at(self, state: TurnState) -> float:
        """Return when it fires, in one of its phases, if no event comes before; infinity: not in this state."""
        for holds in self.conditions:
            if not holds(state):
                return NEVER
        return self.due(state)


# Conditions


def something_is_owed(state: TurnState) -> bool:
    return state.debt is Debt.OWED


def nothing_is_owed(state: TurnState) -> bool:
    return state.debt is Debt.SETTLED


def nobody_is_heard(state: TurnState) -> bool:
    return state.caller is CallerState.QUIET


def somebody_is_heard(state: TurnState) -> bool:
    return state.caller is CallerState.HEARD


def the_line_is_loud(state: TurnState) -> bool:
    return state.is_loud


def the_line_is_quiet(state: TurnState) -> bool:
    return not state.is_loud


def nothing_sounds(state: TurnState) -> bool:
    return not state.sounding


def a_session_is_there(state: TurnState) -> bool:
    return state.voice is not VoiceState.ABSENT


def no_session_is_there(state: TurnState) -> bool:
    return state.voice is VoiceState.ABSENT


def nothing_comes(state: TurnState) -> bool:
    return state.voice in (VoiceState.IDLE, VoiceState.ABSENT)


def a_reply_comes(state: TurnState) -> bool:
    return state.voice in (VoiceState.COMING, VoiceState.LATE)


def a_reply_is_cut(state: TurnState) -> bool:
    return state.voice is VoiceState.CUT


def the_agent_is_idle(state: TurnState) -> bool:
    return state.voice is VoiceState.IDLE


def nothing_is_outstanding(state: TurnState) -> bool:
    return state.outstanding is None


def something_is_outstanding(state: TurnState) -> bool:
    """The last sentence, and the sentence before a transfer, have rules of their own."""
    return state.outstanding is not None and state.outstanding.kind not in (SpeechKind.CLOSING, SpeechKind.TRANSFER)


def the_transfer_is_announced(state: TurnState) -> bool:
    return state.outstanding is None or state.outstanding.kind is not SpeechKind.TRANSFER


def something_is_told(state: TurnState) -> bool:
    return state.told != ""


def nothing_is_told(state: TurnState) -> bool:
    return state.told == ""


def no_function_runs(state: TurnState) -> bool:
    return not state.running


def this_silence_is_unfilled(state: TurnState) -> bool:
    return state.at.filler < state.silent_since


def the_opening_is_due(state: TurnState) -> bool:
    return not state.is_opened


def the_opening_was_heard(state: TurnState) -> bool:
    return state.is_opened


def a_person_is_wanted(state: TurnState) -> bool:
    return state.wants_person and not state.why_no_person


def keys_wait(state: TurnState) -> bool:
    return bool(state.keys) or state.why_no_person != ""


def a_remark_waits(state: TurnState) -> bool:
    return state.remark != ""


def the_session_is_old(state: TurnState) -> bool:
    return state.is_aged


def a_function_was_announced(state: TurnState) -> bool:
    return state.announced != ""


def it_is_a_pause(state: TurnState) -> bool:
    return state.is_pause


def the_call_is_to_close(state: TurnState) -> bool:
    return state.closing is not None


def the_call_is_to_go_on(state: TurnState) -> bool:
    return state.closing is None


def there_are_no_last_words(state: TurnState) -> bool:
    return state.closing is not None and not state.closing.sentence


def the_words_wait_for_a_beep(state: TurnState) -> bool:
    return state.closing is not None and state.closing.waits_for_beep


def the_last_words_have_begun(state: TurnState) -> bool:
    return state.has_closing_begun


def the_last_words_have_not_begun(state: TurnState) -> bool:
    return not state.has_closing_begun


def they_were_not_insisted_on(state: TurnState) -> bool:
    return not state.is_insisting


def they_were_received(state: TurnState) -> bool:
    """All of them, or all that the session will send that has begun them."""
    return state.is_closing_sent or state.voice is VoiceState.IDLE


# When they are due


def at_once(_: TurnState) -> float:
    return AT_ONCE


def closing_limit(state: TurnState) -> float:
    """Return by when the last sentence must have begun; if it has, by when it must have been heard."""
    policy, at = state.policy, state.at
    sentence = state.closing.sentence if state.closing is not None else ""
    spoken = max(policy.goodbye_audio, len(sentence) / policy.slowest_speech)
    longest = 2 * policy.goodbye_onset + spoken + policy.goodbye_grace
    if state.has_closing_begun:
        return at.closing_begun + longest
    if state.phase is Phase.ENDING:  # the agent's own goodbye ends the call
        return at.close_asked + policy.closing_within + longest
    if state.phase is Phase.CLOSING and the_words_wait_for_a_beep(state):
        return at.closing + policy.closing_within
    return at.close_asked + policy.closing_within


def beep_limit(state: TurnState) -> float:
    return state.at.close_asked + state.policy.beep_within


def pause_or_half_the_limit(state: TurnState) -> float:
    return AT_ONCE if state.is_pause else state.at.close_asked + state.policy.closing_within / 2


def onset_of_closing(state: TurnState) -> float:
    """A refusal is insisted against at once."""
    return AT_ONCE if state.outstanding is None else state.at.closing + state.policy.goodbye_onset


def end_of_false_start(state: TurnState) -> float:
    someone_waits = state.aside is not None or state.debt is Debt.OWED
    wait = state.policy.false_start if someone_waits else state.policy.latest_transcript
    return max(state.at.heard, state.at.voiced) + wait


def end_of_cut(state: TurnState) -> float:
    return max(state.at.quiet, state.at.told) + state.policy.false_start


def end_of_longest_turn(state: TurnState) -> float:
    return max(state.at.heard, state.at.asked, state.at.refused) + state.policy.longest_turn


def end_of_reply(state: TurnState) -> float:
    """Words whose audio does not come are waited for as long as any other silence lasts."""
    if state.at.quiet >= state.at.said:
        return max(state.at.quiet, state.at.said) + state.policy.audio_done_grace
    return state.at.said + state.policy.silence_budget


def end_of_echo(state: TurnState) -> float:
    return state.at.told + state.policy.echo


def filler_time(state: TurnState) -> float:
    return state.silent_since + state.policy.silence_budget - state.policy.filler_lead


def clip_time(state: TurnState) -> float:
    return state.silent_since + state.policy.silence_budget


def vacancy_time(state: TurnState) -> float:
    """In the caller's turn, a vacancy as short as a restart usually is gets no clip."""
    return max(state.last_sound + state.policy.silence_budget, state.at.vacated + state.policy.filler_lead)


def onset_of_injection(state: TurnState) -> float:
    return state.at.outstanding + state.policy.silence_budget


def nobody_speaks_since(state: TurnState, longest_noise: float) -> float:
    """Return when nobody speaks any more, by the service and by the line, or when that is waited for no longer."""
    since = max(state.at.quiet, state.at.ending, state.at.closing)
    if state.caller is CallerState.HEARD:
        return max(since, state.at.heard) + state.policy.longest_turn
    return since + longest_noise if state.is_loud else AT_ONCE


def end_of_closing(state: TurnState) -> float:
    breath = state.policy.goodbye_onset if state.rest else 0.0  # between two sentences
    return max(state.at.quiet + breath, nobody_speaks_since(state, state.policy.goodbye_grace))


def end_of_goodbye(state: TurnState) -> float:
    sent = max(state.at.done, state.at.ending) + state.policy.goodbye_onset
    return max(state.at.quiet, sent, nobody_speaks_since(state, state.policy.farewell_noise))


def end_without_goodbye(state: TurnState) -> float:
    """A goodbye may come late: it is waited for as long as one that began in time and was played out."""
    last = max(state.at.ending + state.policy.goodbye_grace, state.at.said) + state.policy.goodbye_audio
    return max(last, nobody_speaks_since(state, state.policy.farewell_noise))


def end_of_announcement(state: TurnState) -> float:
    return max(state.at.quiet, max(state.at.done, state.at.transfer) + state.policy.goodbye_onset)


def end_without_announcement(state: TurnState) -> float:
    return max(state.at.transfer, state.at.quiet) + 2 * state.policy.goodbye_onset


def end_of_putting_through(state: TurnState) -> float:
    return state.at.putting_through + state.policy.put_through


def pause_or_its_limit(state: TurnState) -> float:
    return AT_ONCE if state.is_pause else max(state.at.remark, state.at.refused) + state.policy.remark_within


def end_of_deed(state: TurnState) -> float:
    return max(state.at.quiet, state.at.settled) + state.policy.remind_after


def callers_turn_since(state: TurnState) -> float:
    return max(state.at.given, state.at.settled, state.at.quiet)


def end_of_callers_silence(state: TurnState) -> float:
    silent = max(callers_turn_since(state), state.at.asked, state.at.refused)
    return max(silent + state.policy.caller_silence, state.at.key + state.policy.digit_pause)


# What they do


def end_without_words(state: TurnState) -> None:
    if state.closing is not None:
        state.end_conversation(state.closing.outcome, "", heard=False)


def hush(state: TurnState) -> None:
    state.phase = Phase.HUSHED
    _leave_caller(state)


def _leave_caller(state: TurnState) -> None:
    """Listen no more, owe nothing, and say nothing but the last sentence."""
    state.caller, state.outstanding, state.rest = CallerState.QUIET, None, ""
    state.settle()
    state.emit(HoldTape())
    state.forget()
    if state.sounding:
        state.drop()


def close_unsaid(state: TurnState) -> None:
    if state.closing is not None:
        state.phase = Phase.OVER
        state.emit(SayByLine(state.closing.outcome, state.closing.sentence))


def start_closing(state: TurnState) -> None:
    interrupts = state.sounding
    _leave_caller(state)
    if interrupts:
        say_closing(state)
    elif state.closing is not None:
        state.phase, state.at.closing = Phase.CLOSING, state.now
        state.say(SpeechKind.CLOSING, state.closing.sentence)


def end_speech(state: TurnState) -> None:
    false_start(state)


def probe(state: TurnState) -> None:
    state.at.asked = state.now
    state.say(SpeechKind.QUESTION, state.policy.still_there)


def end_reply(state: TurnState) -> None:
    """Take the reply for received; what a noise has cancelled of it is asked for."""
    state.voice = VoiceState.IDLE
    state.is_closing_sent = state.is_closing_sent or (state.has_closing_begun and not state.rest)
    if state.is_torn and state.kind is SpeechKind.ANSWER and state.phase is Phase.CONVERSING and not state.told:
        state.is_torn = False
        state.owe(state.now)
        state.tell(state.policy.go_on, TellReason.GO_ON)
    elif state.is_answered:
        state.settle()


def expect_no_echo(state: TurnState) -> None:
    state.told = ""


def open_session(state: TurnState) -> None:
    state.is_opened = True


def fill_silence(state: TurnState) -> None:
    """Ask for a filler, unless the session has given no sign of life since the last one, or all patience is spent."""
    at, last = state.at, max(state.at.filler, state.at.clip)
    is_first = last < at.waiting
    is_alive = is_first or bool(state.running) or at.alive > last
    is_worn = not state.running and state.now >= at.waiting + state.policy.think_patience
    if is_worn:
        state.restart("it thinks for too long")
    elif not is_alive:
        state.restart("it gives no sign of life")
    else:
        state.fill(state.next_filler())


def clip_silence(state: TurnState) -> None:
    silence = state.now - state.silent_since
    if state.outstanding is not None and state.outstanding.kind is SpeechKind.FILLER:
        text = state.outstanding.text
        state.overtake_filler()
    else:
        text = state.next_filler()
    state.play_clip(text, silence)


def clip_vacancy(state: TurnState) -> None:
    state.play_clip(state.next_filler(), state.now - state.last_sound)


def expire_injection(state: TurnState) -> None:
    """Give up what was not begun. A session that does not ask a silent caller is gone itself."""
    lost, state.outstanding = state.outstanding, None
    if lost is None:
        return
    has_spoken = state.caller is CallerState.HEARD or state.at.wanted > state.at.outstanding
    if lost.kind is SpeechKind.FILLER:
        state.late_filler = lost.text
    elif lost.kind is SpeechKind.QUESTION and not has_spoken:
        state.restart("it does not say what it is asked to")


def end_closed(state: TurnState) -> None:
    if state.closing is not None:
        state.end_conversation(state.closing.outcome, "", heard=state.is_closing_sent)


def end_completed(state: TurnState) -> None:
    reason = state.end.reason if state.end is not None else ""
    state.end_conversation("completed", reason, heard=state.has_spoken)


def put_through(state: TurnState) -> None:
    state.phase, state.at.putting_through = Phase.PUTTING_THROUGH, state.now
    state.outstanding = None
    state.owe(max(state.last_sound, state.at.transfer))
    state.emit(PutThrough(state.transfer or ""))


def give_up_transfer(state: TurnState) -> None:
    state.phase = Phase.CONVERSING
    if state.transfer is None:
        state.why_no_person = state.policy.unanswered
    else:
        state.answer_function(state.transfer, state.policy.unanswered)
        state.transfer = None


def announce_transfer(state: TurnState) -> None:
    state.phase, state.at.transfer = Phase.TRANSFERRING, state.now
    if state.sounding:
        state.drop()
    state.say(SpeechKind.TRANSFER, state.policy.putting_through, interrupts=True)


def tell_keys(state: TurnState) -> None:
    keys, why = tuple(state.keys), state.why_no_person
    parts = [describe_keys(keys, state.policy.human_digit)] if keys else []
    state.keys, state.wants_person, state.why_no_person = [], False, ""
    state.has_spoken, state.last_turn = False, ""
    state.owe(state.now)
    state.tell(" ".join([*parts, why]).strip(), TellReason.KEYS, keys)


def say_remark(state: TurnState) -> None:
    text, state.remark = state.remark, ""
    state.say(SpeechKind.REMARK, text)


def renew(state: TurnState) -> None:
    state.is_aged = False
    state.lose_session()
    state.emit(RenewSession())


def remind(state: TurnState) -> None:
    function, state.announced, state.is_reminded = state.announced, "", True
    state.owe(state.now)
    state.tell(state.policy.reminder.format(function=function), TellReason.REMINDER)


def ask_caller(state: TurnState) -> None:
    if state.times_asked >= state.policy.silent_asks:
        state.closing, state.at.close_asked = CloseAsked(SILENT, state.policy.silent_goodbye), state.now
        return
    state.at.asked = state.now
    silence = state.now - callers_turn_since(state)
    state.say(SpeechKind.QUESTION, state.policy.still_there, silence=silence)


# The rules


def _in(*phases: Phase) -> frozenset[Phase]:
    return frozenset(phases)


_TALK = _in(Phase.CONVERSING)
_ENDING, _CLOSING = _in(Phase.ENDING), _in(Phase.CLOSING)
_TRANSFERRING, _PUTTING_THROUGH = _in(Phase.TRANSFERRING), _in(Phase.PUTTING_THROUGH)
_BEFORE_ENDING = _in(Phase.CONVERSING, Phase.HANDING_OVER, Phase.TRANSFERRING, Phase.PUTTING_THROUGH)
_BEFORE_CLOSING = _BEFORE_ENDING | _ENDING
_ALWAYS = frozenset(Phase) - {Phase.OVER}

RULES: tuple[Rule, ...] = (
    Rule("a call ends without last words", _ALWAYS, (there_are_no_last_words,), at_once, end_without_words),
    Rule("a message waits for the beep", _BEFORE_CLOSING, (the_words_wait_for_a_beep,), at_once, hush),
    Rule("the call closes unsaid", _BEFORE_CLOSING | _CLOSING, (the_call_is_to_close,), closing_limit, close_unsaid),
    Rule("the beep never comes", _in(Phase.HUSHED), (), beep_limit, say_closing),
    Rule("closing begins", _TALK, (the_call_is_to_close, a_session_is_there), pause_or_half_the_limit, start_closing),
    Rule(
        "closing insists",
        _CLOSING,
        (a_session_is_there, the_last_words_have_not_begun, they_were_not_insisted_on),
        onset_of_closing,
        say_closing,
    ),
    Rule(
        "nothing follows speech",
        _BEFORE_CLOSING,
        (somebody_is_heard, the_line_is_quiet),
        end_of_false_start,
        end_speech,
    ),
    Rule(
        "nothing follows a cut",
        _BEFORE_CLOSING,
        (a_reply_is_cut, nobody_is_heard, nothing_is_told),
        end_of_cut,
        end_speech,
    ),
    Rule(
        "speech never ends",
        _TALK,
        (somebody_is_heard, the_line_is_loud, nothing_is_outstanding, no_function_runs, a_session_is_there),
        end_of_longest_turn,
        probe,
    ),
    Rule("AgentAudioDone is missing", _ALWAYS, (a_reply_comes, nothing_sounds), end_of_reply, end_reply),
    Rule("an echo is missing", _ALWAYS, (something_is_told,), end_of_echo, expect_no_echo),
    Rule(
        "the opening was heard",
        _ALWAYS,
        (the_opening_is_due, nothing_is_owed, a_session_is_there, nothing_sounds),
        at_once,
        open_session,
    ),
    Rule(
        "a silence is filled",
        _TALK,
        (
            something_is_owed,
            nobody_is_heard,
            nothing_sounds,
            a_session_is_there,
            nothing_is_outstanding,
            this_silence_is_unfilled,
        ),
        filler_time,
        fill_silence,
    ),
    Rule(
        "a clip fills it",
        _BEFORE_CLOSING,
        (something_is_owed, nobody_is_heard, nothing_sounds),
        clip_time,
        clip_silence,
    ),
    Rule(
        "a vacancy is filled", _TALK, (nothing_is_owed, no_session_is_there, nothing_sounds), vacancy_time, clip_vacancy
    ),
    Rule("an injection is not begun", _ALWAYS, (something_is_outstanding,), onset_of_injection, expire_injection),
    Rule(
        "the last sentence is heard",
        _CLOSING,
        (the_last_words_have_begun, nothing_comes, they_were_received, nothing_sounds),
        end_of_closing,
        end_closed,
    ),
    Rule(
        "the goodbye is heard", _ENDING, (nothing_is_owed, nothing_comes, nothing_sounds), end_of_goodbye, end_completed
    ),
    Rule("no goodbye comes", _ENDING, (nothing_sounds,), end_without_goodbye, end_completed),
    Rule(
        "the transfer's sentence is heard",
        _TRANSFERRING,
        (the_transfer_is_announced, nothing_comes, nothing_sounds),
        end_of_announcement,
        put_through,
    ),
    Rule(
        "the transfer's sentence never comes", _TRANSFERRING, (nothing_sounds,), end_without_announcement, put_through
    ),
    Rule("the line does not answer", _PUTTING_THROUGH, (), end_of_putting_through, give_up_transfer),
    Rule(
        "a key asks for a person",
        _TALK,
        (a_person_is_wanted, the_opening_was_heard, a_session_is_there, no_function_runs, the_call_is_to_go_on),
        at_once,
        announce_transfer,
    ),
    Rule(
        "keys are told",
        _TALK,
        (keys_wait, the_opening_was_heard, a_session_is_there, nothing_is_outstanding, nothing_is_told),
        at_once,
        tell_keys,
    ),
    Rule(
        "a remark is said",
        _TALK,
        (a_remark_waits, a_session_is_there, nothing_is_outstanding, the_call_is_to_go_on),
        pause_or_its_limit,
        say_remark,
    ),
    Rule("an old session is renewed", _TALK, (the_session_is_old, it_is_a_pause), at_once, renew),
    Rule(
        "words are followed by no deed",
        _TALK,
        (a_function_was_announced, it_is_a_pause, the_call_is_to_go_on),
        end_of_deed,
        remind,
    ),
    Rule(
        "the caller is silent",
        _TALK,
        (
            nothing_is_owed,
            the_agent_is_idle,
            nobody_is_heard,
            nothing_sounds,
            no_function_runs,
            nothing_is_outstanding,
            nothing_is_told,
            the_call_is_to_go_on,
        ),
        end_of_callers_silence,
        ask_caller,
    ),
)
RULES_IN = {phase: tuple(rule for rule in RULES if phase in rule.phases) for phase in Phase}
"""The rules of each phase."""
