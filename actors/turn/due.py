"""When each rule is due, by the clocks of the call: the first line of each function is shown in `docs/turns.md`."""

from actors.turn.clocks import AT_ONCE, NEVER
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase


def at_once(_: TurnState) -> float:
    """At once."""
    return AT_ONCE


def end_of_word(state: TurnState) -> float:
    """Voice began + `shortest_word`."""
    return state.at.voiced + state.deadlines.shortest_word


def closing_limit(state: TurnState) -> float:
    """Wish + `closing`, silence + `silence_budget`; once it has begun, + the length of the sentence."""
    deadlines, at = state.deadlines, state.at
    sentence = state.closing.sentence if state.closing is not None else ""
    spoken = max(deadlines.goodbye_audio, len(sentence) / state.numbers.slowest_speech)
    longest = 2 * deadlines.goodbye_onset + spoken + deadlines.goodbye_grace
    if state.has_closing_begun:
        return at.closing_begun + longest
    if state.phase is Phase.ENDING:  # the agent's own goodbye ends the call
        return at.close_asked + deadlines.closing + longest
    if state.phase is Phase.CLOSING and state.closing is not None and state.closing.waits_for_beep:
        return at.closing + deadlines.closing
    silence = NEVER
    if state.phase is Phase.CLOSING and state.caller is CallerState.QUIET and not (state.sounding or state.is_loud):
        silence = max(at.close_asked, at.quiet, at.voiced, at.heard) + deadlines.silence_budget
    return min(at.close_asked + deadlines.closing, silence)


def beep_limit(state: TurnState) -> float:
    """Wish + `beep`."""
    return state.at.close_asked + state.deadlines.beep


def pause_or_half_the_limit(state: TurnState) -> float:
    """In a pause; else wish + `closing` / 2."""
    return AT_ONCE if state.is_pause else state.at.close_asked + state.deadlines.closing / 2


def onset_of_closing(state: TurnState) -> float:
    """When it is refused; else asked for + `goodbye_onset`."""
    return AT_ONCE if state.outstanding is None else state.at.closing + state.deadlines.goodbye_onset


def end_of_false_start(state: TurnState) -> float:
    """Last heard + `false_start` if something is aside or owed, `silence_budget` at the end; or `latest_transcript`."""
    deadlines = state.deadlines
    someone_waits = state.aside is not None or state.debt is Debt.OWED
    wait = deadlines.false_start if someone_waits else deadlines.latest_transcript
    if state.phase is Phase.ENDING:  # the caller waits for the end of the call
        wait = min(wait, deadlines.silence_budget)
    return max(state.at.heard, state.at.voiced) + wait


def end_of_cut(state: TurnState) -> float:
    """Line quiet, or told, + `false_start`."""
    return max(state.at.quiet, state.at.told) + state.deadlines.false_start


def end_of_longest_turn(state: TurnState) -> float:
    """Last heard, asked or refused + `longest_turn`."""
    return max(state.at.heard, state.at.asked, state.at.refused) + state.deadlines.longest_turn


def end_of_reply(state: TurnState) -> float:
    """Played, or ended without audio, + `audio_done_grace`; words without audio: said + `silence_budget`."""
    last = max(state.at.quiet, state.at.done)
    if last >= state.at.said:
        return last + state.deadlines.audio_done_grace
    return state.at.said + state.deadlines.silence_budget


def end_of_echo(state: TurnState) -> float:
    """Told + `echo`."""
    return state.at.told + state.deadlines.echo


def filler_time(state: TurnState) -> float:
    """Silence + `silence_budget` - `filler_lead`."""
    return state.silent_since + state.deadlines.silence_budget - state.deadlines.filler_lead


def clip_time(state: TurnState) -> float:
    """Silence + `silence_budget`."""
    return state.silent_since + state.deadlines.silence_budget


def vacancy_time(state: TurnState) -> float:
    """Last sound + `silence_budget`, and session lost + `filler_lead`: a restart is shorter."""
    return max(state.last_sound + state.deadlines.silence_budget, state.at.vacated + state.deadlines.filler_lead)


def onset_of_injection(state: TurnState) -> float:
    """Asked for + `silence_budget`."""
    return state.at.outstanding + state.deadlines.silence_budget


def nobody_speaks_since(state: TurnState, longest_noise: float) -> float:
    """Return when nobody speaks any more, by the service and by the line, or when that is waited for no longer."""
    since = max(state.at.quiet, state.at.ending, state.at.closing)
    if state.caller is CallerState.HEARD:
        return max(since, state.at.heard) + state.deadlines.longest_turn
    return since + longest_noise if state.is_loud else AT_ONCE


def end_of_closing(state: TurnState) -> float:
    """Played (+ `goodbye_onset` between two sentences), and the line is quiet, or `goodbye_grace` later."""
    breath = state.deadlines.goodbye_onset if state.rest else 0.0  # between two sentences
    return max(state.at.quiet + breath, nobody_speaks_since(state, state.deadlines.goodbye_grace))


def end_of_goodbye(state: TurnState) -> float:
    """Played, received + `goodbye_onset`, and nobody speaks: `longest_turn` at most, a noise `farewell_noise`."""
    sent = max(state.at.done, state.at.ending, state.at.wanted) + state.deadlines.goodbye_onset
    return max(state.at.quiet, sent, nobody_speaks_since(state, state.deadlines.farewell_noise))


def end_without_goodbye(state: TurnState) -> float:
    """Ended + `goodbye_audio` + `goodbye_grace`, said + `goodbye_audio`, and nobody speaks."""
    last = max(state.at.ending + state.deadlines.goodbye_grace, state.at.said) + state.deadlines.goodbye_audio
    return max(last, nobody_speaks_since(state, state.deadlines.farewell_noise))


def end_of_announcement(state: TurnState) -> float:
    """Played, and received + `goodbye_onset`."""
    return max(state.at.quiet, max(state.at.done, state.at.transfer) + state.deadlines.goodbye_onset)


def end_without_announcement(state: TurnState) -> float:
    """Wanted, or played, + 2 `goodbye_onset`."""
    return max(state.at.transfer, state.at.quiet) + 2 * state.deadlines.goodbye_onset


def end_of_putting_through(state: TurnState) -> float:
    """Line asked + `transfer`."""
    return state.at.putting_through + state.deadlines.transfer


def pause_or_its_limit(state: TurnState) -> float:
    """In a pause; else made, or refused, + `remark_within`."""
    return AT_ONCE if state.is_pause else max(state.at.remark, state.at.refused) + state.deadlines.remark_within


def end_of_deed(state: TurnState) -> float:
    """Pause + `remind_after`."""
    return state.callers_turn_since + state.deadlines.remind_after


def end_of_callers_silence(state: TurnState) -> float:
    """Their turn, asked or refused + `caller_silence`; a key + `digit_pause`; a loud line + `longest_turn`."""
    silent, deadlines = max(state.callers_turn_since, state.at.asked, state.at.refused), state.deadlines
    due = max(silent + deadlines.caller_silence, state.at.key + deadlines.digit_pause)
    return max(due, state.at.voiced + deadlines.longest_turn) if state.is_loud and state.is_asked_out else due
