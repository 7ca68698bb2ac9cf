"""The rules of time, in order of priority.

A rule is due when the phase is one of its phases, all of its conditions hold, and its time has come. What it does ends
the condition, or moves the clock that it counts from. A rule also ends each effect whose event does not come. The words
are those of `docs/turns.md`.
"""

from collections.abc import Callable

import attrs

from actors.turn.actions import Actions
from actors.turn.parts import AT_ONCE, NEVER
from actors.turn.state import CallerState, Debt, Phase, TurnState, VoiceState
from actors.turn.tables import CONDITIONS, Cell, do, to


@attrs.frozen
class Rule:
    """A change that becomes due when no event comes: at once where nothing else is said."""

    name: str
    phases: tuple[Phase, ...]
    conditions: tuple[str, ...]
    then: Cell
    due_words: str = "At once"
    due: Callable[[TurnState], float] = lambda _: AT_ONCE
    _holds: tuple[Callable[[TurnState], bool], ...] = attrs.field(
        default=attrs.Factory(lambda rule: tuple(CONDITIONS[words] for words in rule.conditions), takes_self=True),
        init=False,
        repr=False,
    )
    """The conditions themselves: they are asked of every rule after each event."""

    def due_at(self, state: TurnState) -> float:
        """Return when it fires, in one of its phases, if no event comes before; infinity: not in this state."""
        for holds in self._holds:
            if not holds(state):
                return NEVER
        return self.due(state)


# When they are due, where it takes more than one line to say


def closing_limit(state: TurnState) -> float:
    deadlines, at, closing = state.deadlines, state.at, state.closing
    if closing is None or not closing.sentence:
        return AT_ONCE
    spoken = max(deadlines.goodbye_audio, len(closing.sentence) / state.numbers.slowest_speech)
    longest = 2 * deadlines.goodbye_onset + spoken + deadlines.goodbye_grace
    if state.has_closing_begun:
        return at.begun + longest
    if state.phase is Phase.ENDING:  # the agent's own goodbye ends the call
        return at.close_asked + deadlines.closing + longest
    if closing.waits_for_beep:
        return at.phase + deadlines.closing
    is_silent = state.phase is Phase.CLOSING and not (state.sounding or state.is_loud)
    silence = max(at.close_asked, state.last_sound) + deadlines.silence_budget if is_silent else NEVER
    return min(at.close_asked + deadlines.closing, silence)


def someone_waits(state: TurnState) -> bool:
    """Whether the caller is to hear something, as soon as it is known that it is not they who speak."""
    return state.aside is not None or state.debt is Debt.OWED


def end_of_false_start(state: TurnState) -> float:
    deadlines, at = state.deadlines, state.at
    if someone_waits(state):
        limit = max(at.noticed + deadlines.silence_budget, at.spoken + deadlines.goodbye_onset)
        return min(max(at.noticed, at.spoken) + deadlines.false_start, limit if at.anew > at.noticed else NEVER)
    # Behind a decision they wait for what goes with it, but any sound may be a word
    patience = min(deadlines.latest_transcript, deadlines.silence_budget if state.is_decided else NEVER)
    longest = max(at.noticed, at.quiet, at.phase) + deadlines.longest_turn  # for what only the service hears
    return max(at.voiced + patience, min(at.heard + patience, longest))


def end_of_speech(state: TurnState) -> float:
    at, deadlines = state.at, state.deadlines
    last = max(at.heard, at.outstanding, at.refused)
    waits_since = max(last, at.waiting) if state.is_waited_for else last
    return min(last + deadlines.longest_turn, waits_since + deadlines.caller_silence if someone_waits(state) else NEVER)


def end_of_reply(state: TurnState) -> float:
    last = max(state.at.quiet, state.at.done)
    if last >= state.at.said:
        return last + state.deadlines.audio_done_grace
    return state.at.said + state.deadlines.silence_budget


def nobody_speaks_since(state: TurnState) -> float:
    """Return when nobody speaks any more, by the service and by the line, or when that is waited for no longer."""
    since = max(state.at.quiet, state.at.phase)
    if state.caller is CallerState.HEARD:
        return max(since, state.at.heard) + state.deadlines.longest_turn
    if state.is_loud:
        return since + state.deadlines.farewell_noise
    last = max(state.at.heard, state.at.spoken)  # the service may not say that it hears a word, and transcribe it
    if max(state.at.understood, state.at.said) >= last:
        return state.at.voiced + state.deadlines.goodbye_onset  # it says by then that it hears a short one
    return min(last, since + state.deadlines.farewell_noise) + state.deadlines.silence_budget


def end_of_closing(state: TurnState) -> float:
    deadlines = state.deadlines
    breath = deadlines.goodbye_onset if state.session.rest else 0.0  # between two sentences
    late = deadlines.late_voice if state.may_stay else 0.0
    return state.at.quiet + max(breath, late, deadlines.goodbye_grace if state.is_loud else 0.0)


def heard_since(state: TurnState) -> float:
    """Return when the last words, and a late voice, are heard; after a question, when it could be answered."""
    return state.at.quiet + (state.deadlines.silence_budget if state.has_asked else state.deadlines.late_voice)


def end_of_goodbye(state: TurnState) -> float:
    at, deadlines = state.at, state.deadlines
    slow = min(at.alive, at.phase + deadlines.think_patience - deadlines.goodbye_audio)
    last = max(at.phase + deadlines.goodbye_grace, at.said, slow) + deadlines.goodbye_audio  # if none comes
    if state.debt is Debt.SETTLED and state.voice in (VoiceState.IDLE, VoiceState.ABSENT):
        last = min(last, max(heard_since(state), max(at.done, at.phase, at.wanted) + deadlines.goodbye_onset))
    told = at.key + deadlines.digit_pause + deadlines.goodbye_onset  # an entry on the keypad that nothing has finished
    return max(last, nobody_speaks_since(state), min(told, at.phase + deadlines.longest_turn))


def end_of_callers_silence(state: TurnState) -> float:
    at, deadlines, is_away = state.at, state.deadlines, state.is_away and not state.times_asked
    patience = max(deadlines.caller_silence, deadlines.longest_turn if is_away else 0.0)
    patience = deadlines.farewell_noise if state.has_parted else patience
    noise = deadlines.longest_turn if state.is_asked_out or state.has_parted else deadlines.shortest_word
    silent = max(state.callers_turn_since, at.refused) + patience
    if state.has_parted:  # a word may still be transcribed
        silent = max(silent, nobody_speaks_since(state))
    told = at.key + deadlines.digit_pause + deadlines.goodbye_onset  # what they have pressed so far, if anything
    return max(silent, told, at.voiced + noise if state.is_loud else AT_ONCE)


# The rules

CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER = Phase
_BEFORE_CLOSING = (CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING)
_ALWAYS = (*_BEFORE_CLOSING, HUSHED, CLOSING, TAKEN_OVER)
_FALSE_START = to(CallerState.QUIET, Actions.false_start)

RULES: tuple[Rule, ...] = (
    Rule("the caller is there after all", (CLOSING,),
         ("the call is to close for the caller's silence", "the caller begins to speak"), to(CONVERSING, Actions.stay),
         "Voice began + `shortest_word`", lambda state: state.at.voiced + state.deadlines.shortest_word),
    Rule("a message waits for the beep", _BEFORE_CLOSING, ("the words wait for a beep",),
         to(HUSHED, Actions.leave_caller)),
    Rule("the call closes unsaid", (*_BEFORE_CLOSING, CLOSING, TAKEN_OVER), ("the call is to close",),
         to(OVER, Actions.close_unsaid),
         "At once without last words; else wish + `closing`, silence + `silence_budget`; once they have begun, + their "
         "length",
         closing_limit),
    Rule("the beep never comes", (HUSHED,), (), do(Actions.say_closing),
         "Wish + `beep`", lambda state: state.at.close_asked + state.deadlines.beep),
    Rule("closing begins", (CONVERSING,), ("the call is to close", "a session is there"),
         do(Actions.leave_caller, Actions.say_closing), "In a pause; else wish + `closing` / 2",
         lambda state: AT_ONCE if state.is_pause else state.at.close_asked + state.deadlines.closing / 2),
    Rule("nothing follows speech", _BEFORE_CLOSING, ("somebody is heard", "the line is quiet"),
         to(CallerState.QUIET, Actions.false_start, Actions.doubt_understanding),
         "Last heard + `latest_transcript`, for a minute at most; first heard, or a word, + `false_start` if "
         "something is aside or owed, and `silence_budget` if it is heard anew; last heard + `silence_budget` at the "
         "end, and before a transfer",
         end_of_false_start),
    Rule("nothing follows a cut", _BEFORE_CLOSING, ("a reply is cut", "nobody is heard"), _FALSE_START,
         "Cut + `false_start`", lambda state: state.at.cut + state.deadlines.false_start),
    Rule("what was told has cut a reply", (CONVERSING,), ("a reply is cut", "nothing is aside", "something is told"),
         to(VoiceState.IDLE), "Cut + `shortest_word`", lambda state: state.at.cut + state.deadlines.shortest_word),
    Rule("speech never ends", (CONVERSING,), ("somebody is heard",), do(Actions.ask),
         "Heard, asked or refused + `longest_turn`; `caller_silence` if something is aside, or owed for as long",
         end_of_speech),
    Rule("AgentAudioDone is missing", _ALWAYS, ("a reply comes", "nothing sounds"),
         to(VoiceState.IDLE, Actions.end_reply),
         "Played, or ended without audio, + `audio_done_grace`; words without audio: said + `silence_budget`",
         end_of_reply),
    Rule("an echo is missing", _ALWAYS, ("something is told",), do(Actions.expect_no_echo),
         "Told + `echo`", lambda state: state.at.told + state.deadlines.echo),
    Rule("the opening was heard", (CONVERSING,), ("the opening is due", "nothing is owed", "nothing sounds"),
         do(Actions.open_session)),
    Rule("a key asks for a person", (CONVERSING,),
         ("a person is wanted", "the opening was heard", "a session is there", "no function runs",
          "the call is to go on"), to(TRANSFERRING, Actions.announce_transfer)),
    Rule("keys are told", (CONVERSING,),
         ("keys wait and the opening was heard, or a transfer has failed", "a session is there",
          "nothing is outstanding", "nothing is told"), do(Actions.tell_keys)),
    Rule("a silence is filled", (CONVERSING,),
         ("the caller waits in silence", "a session is there", "nothing is outstanding", "this silence is unfilled"),
         do(Actions.fill_silence), "Silence + `silence_budget` - `filler_lead`",
         lambda state: state.silent_since + state.deadlines.silence_budget - state.deadlines.filler_lead),
    Rule("a clip fills it", _BEFORE_CLOSING, ("the caller waits in silence",), do(Actions.play_clip),
         "Silence + `silence_budget`", lambda state: state.silent_since + state.deadlines.silence_budget),
    Rule("a vacancy is filled", (CONVERSING,), ("nothing is owed", "no session is there", "nothing sounds"),
         do(Actions.play_clip),
         "Last sound + `silence_budget`; and unless the caller has spoken, session lost + `filler_lead`: a restart is "
         "shorter", lambda state: max(state.last_sound + state.deadlines.silence_budget,
                                      AT_ONCE if state.is_unread else state.at.vacated + state.deadlines.filler_lead)),
    Rule("an injection is not begun", (CONVERSING, HANDING_OVER, PUTTING_THROUGH, ENDING, TAKEN_OVER),
         ("something is outstanding",), do(Actions.expire_injection),
         "Asked for + `silence_budget`", lambda state: state.at.outstanding + state.deadlines.silence_budget),
    Rule("the last sentence is heard", (CLOSING,),
         ("the last words have begun", "they were received", "nothing sounds"), to(OVER, Actions.end_closed),
         "Played (+ `goodbye_onset` between two sentences, + `late_voice` if the caller may stay), and the line is "
         "quiet, or `goodbye_grace` later",
         end_of_closing),
    Rule("the goodbye is heard", (ENDING,), ("nothing sounds", "no lasting work is done"),
         to(OVER, Actions.end_completed),
         "Played + `late_voice` (`silence_budget` after a question), and received + `goodbye_onset`; else ended + "
         "`goodbye_audio` + `goodbye_grace`, said, or slow, + `goodbye_audio` (`think_patience` at most); and nobody "
         "speaks: `longest_turn` at most, a noise `farewell_noise`, a word of which the service says nothing "
         "`silence_budget`, a shorter sound `goodbye_onset`, a key + `digit_pause` + `goodbye_onset`",
         end_of_goodbye),
    Rule("the transfer's sentence is heard", (TRANSFERRING,),
         ("the transfer is announced", "nothing comes or sounds", "nobody is heard", "no lasting work is done"),
         do(Actions.put_through),
         "Played + `late_voice` (`silence_budget` after a question), and received, or a voice, + `goodbye_onset`",
         lambda state: max(heard_since(state),
                           max(state.at.done, state.at.phase, state.at.voiced) + state.deadlines.goodbye_onset)),
    Rule("the transfer's sentence never comes", (TRANSFERRING,),
         ("nothing sounds", "nobody is heard", "no lasting work is done"), do(Actions.put_through),
         "Wanted, or played (and asked, as above), + 2 `goodbye_onset`",
         lambda state: max(state.at.phase, heard_since(state)) + 2 * state.deadlines.goodbye_onset),
    Rule("a transfer waits no longer", (TRANSFERRING,), (), do(Actions.put_through),
         "Wanted + `goodbye_audio` + `goodbye_grace`, whatever is said",
         lambda state: state.at.phase + state.deadlines.goodbye_audio + state.deadlines.goodbye_grace),
    Rule("the line does not answer", (PUTTING_THROUGH,), (), to(CONVERSING, Actions.give_up_transfer),
         "Line asked + `transfer`", lambda state: state.at.phase + state.deadlines.transfer),
    Rule("a remark is said", (CONVERSING,),
         ("a remark waits", "the agent is idle", "nothing is outstanding", "the call is to go on"),
         do(Actions.say_remark), "In a pause, and refused + `goodbye_onset`; else made, or refused, + `remark_within`",
         lambda state: state.at.refused + state.deadlines.goodbye_onset if state.is_pause else
         max(state.at.remark, state.at.refused) + state.deadlines.remark_within),
    Rule("an old session is renewed", (CONVERSING,), ("the session is old", "it is a pause"), do(Actions.end_session)),
    Rule("words are followed by no deed", (CONVERSING,),
         ("a function was announced, or the caller asked to wait", "it is a pause"), do(Actions.remind),
         "Pause + `remind_after`", lambda state: state.callers_turn_since + state.deadlines.remind_after),
    Rule("the caller is silent", (CONVERSING,), ("all is at rest", "the call is to go on"), do(Actions.ask_caller),
         "Their turn, asked or refused + `caller_silence`; `longest_turn` where they have asked for time; "
         "`farewell_noise` behind a goodbye, and nobody speaks, as above; a key + `digit_pause` + `goodbye_onset`; a "
         "voice + `shortest_word`, + `longest_turn` before a goodbye",
         end_of_callers_silence),
)  # fmt: skip
RULES_IN = {phase: tuple(each for each in RULES if phase in each.phases) for phase in Phase}
"""The rules of each phase."""
