"""When a rule is due, by the clocks of the call, where it takes more than one line to say. `rules.py` has the words."""

from actors.turn.clocks import AT_ONCE, NEVER
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase


def closing_limit(state: TurnState) -> float:
    deadlines, at = state.deadlines, state.at
    sentence = state.closing.sentence if state.closing is not None else ""
    spoken = max(deadlines.goodbye_audio, len(sentence) / state.numbers.slowest_speech)
    longest = 2 * deadlines.goodbye_onset + spoken + deadlines.goodbye_grace
    if state.has_closing_begun:
        return at.closing_begun + longest
    if state.phase is Phase.ENDING:  # the agent's own goodbye ends the call
        return at.close_asked + deadlines.closing + longest
    if state.phase is Phase.CLOSING and state.closing is not None and state.closing.waits_for_beep:
        return at.phase + deadlines.closing
    silence = NEVER
    if state.phase is Phase.CLOSING and state.caller is CallerState.QUIET and not (state.sounding or state.is_loud):
        silence = max(at.close_asked, at.quiet, at.voiced, at.heard) + deadlines.silence_budget
    return min(at.close_asked + deadlines.closing, silence)


def end_of_false_start(state: TurnState) -> float:
    deadlines = state.deadlines
    someone_waits = state.aside is not None or state.debt is Debt.OWED
    wait = deadlines.false_start if someone_waits else deadlines.latest_transcript
    if state.phase is Phase.ENDING:  # the caller waits for the end of the call
        wait = min(wait, deadlines.silence_budget)
    return max(state.at.heard, state.at.voiced) + wait


def end_of_reply(state: TurnState) -> float:
    last = max(state.at.quiet, state.at.done)
    if last >= state.at.said:
        return last + state.deadlines.audio_done_grace
    return state.at.said + state.deadlines.silence_budget


def vacancy_time(state: TurnState) -> float:
    return max(state.last_sound + state.deadlines.silence_budget, state.at.vacated + state.deadlines.filler_lead)


def nobody_speaks_since(state: TurnState, longest_noise: float) -> float:
    """Return when nobody speaks any more, by the service and by the line, or when that is waited for no longer."""
    since = max(state.at.quiet, state.at.phase)
    if state.caller is CallerState.HEARD:
        return max(since, state.at.heard) + state.deadlines.longest_turn
    return since + longest_noise if state.is_loud else AT_ONCE


def end_of_closing(state: TurnState) -> float:
    breath = state.deadlines.goodbye_onset if state.rest else 0.0  # between two sentences
    return max(state.at.quiet + breath, nobody_speaks_since(state, state.deadlines.goodbye_grace))


def end_of_goodbye(state: TurnState) -> float:
    sent = max(state.at.done, state.at.phase, state.at.wanted) + state.deadlines.goodbye_onset
    return max(state.at.quiet, sent, nobody_speaks_since(state, state.deadlines.farewell_noise))


def end_without_goodbye(state: TurnState) -> float:
    last = max(state.at.phase + state.deadlines.goodbye_grace, state.at.said) + state.deadlines.goodbye_audio
    return max(last, nobody_speaks_since(state, state.deadlines.farewell_noise))


def end_of_announcement(state: TurnState) -> float:
    return max(state.at.quiet, max(state.at.done, state.at.phase) + state.deadlines.goodbye_onset)


def pause_or_limit_of_remark(state: TurnState) -> float:
    return AT_ONCE if state.is_pause else max(state.at.remark, state.at.refused) + state.deadlines.remark_within


def end_of_callers_silence(state: TurnState) -> float:
    silent, deadlines = max(state.callers_turn_since, state.at.asked, state.at.refused), state.deadlines
    due = max(silent + deadlines.caller_silence, state.at.key + deadlines.digit_pause)
    return max(due, state.at.voiced + deadlines.longest_turn) if state.is_loud and state.is_asked_out else due
