"""The rules of time, in order of priority.

A rule is due when the phase is one of its phases, all of its conditions hold, and its time has come. What it does ends
the condition, or moves the clock that it counts from. A rule also ends each effect whose event does not come. The words
are those of `docs/turns.md`.
"""

from collections.abc import Callable

import attrs

from actors.turn import actions, due
from actors.turn.clocks import AT_ONCE, NEVER
from actors.turn.conditions import Condition, when
from actors.turn.state import TurnState
from actors.turn.values import Phase


@attrs.frozen
class Rule:
    """An action that becomes due when no event comes."""

    name: str
    phases: frozenset[Phase]
    conditions: tuple[Condition, ...]
    due_words: str
    due: Callable[[TurnState], float]
    action: Callable[[TurnState], None]

    def due_at(self, state: TurnState) -> float:
        """Return when it fires, in one of its phases, if no event comes before; infinity: not in this state."""
        for condition in self.conditions:
            if not condition.holds(state):
                return NEVER
        return self.due(state)


def rule(  # noqa: PLR0917
    name: str,
    phases: frozenset[Phase],
    conditions: tuple[str, ...],
    due_words: str,
    due_at: Callable[[TurnState], float],
    action: Callable[[TurnState], None],
) -> Rule:
    """Build a rule from the words of its conditions."""
    return Rule(name, phases, tuple(map(when, conditions)), due_words, due_at, action)


def _at_once(_: TurnState) -> float:
    return AT_ONCE


_TALK, _HANDING_OVER, _TRANSFERRING, _PUTTING_THROUGH, _ENDING, _HUSHED, _CLOSING, _, _TAKEN_OVER = (
    frozenset({phase}) for phase in Phase
)
_BEFORE_ENDING = _TALK | _HANDING_OVER | _TRANSFERRING | _PUTTING_THROUGH
_BEFORE_CLOSING = _BEFORE_ENDING | _ENDING
_ALWAYS = frozenset(Phase) - {Phase.OVER}

RULES: tuple[Rule, ...] = (
    rule("a call ends without last words", _ALWAYS, ("there are no last words",), "At once", _at_once,
         actions.end_closed),
    rule("the caller is there after all", _CLOSING,
         ("the call is to close for the caller's silence", "the caller begins to speak"),
         "Voice began + `shortest_word`", lambda state: state.at.voiced + state.deadlines.shortest_word,
         actions.stay),
    rule("a message waits for the beep", _BEFORE_CLOSING, ("the words wait for a beep",), "At once", _at_once,
         actions.hush),
    rule("the call closes unsaid", _BEFORE_CLOSING | _CLOSING | _TAKEN_OVER, ("the call is to close",),
         "Wish + `closing`, silence + `silence_budget`; once it has begun, + the length of the sentence",
         due.closing_limit, actions.close_unsaid),
    rule("the beep never comes", _HUSHED, (),
         "Wish + `beep`", lambda state: state.at.close_asked + state.deadlines.beep, actions.say_closing),
    rule("closing begins", _TALK, ("the call is to close", "a session is there"),
         "In a pause; else wish + `closing` / 2",
         lambda state: AT_ONCE if state.is_pause else state.at.close_asked + state.deadlines.closing / 2,
         actions.start_closing),
    rule("closing insists", _CLOSING, ("the last words have not begun", "they were not insisted on"),
         "When it is refused; else asked for + `goodbye_onset`",
         lambda state: AT_ONCE if state.outstanding is None else state.at.phase + state.deadlines.goodbye_onset,
         actions.say_closing),
    rule("nothing follows speech", _BEFORE_CLOSING, ("somebody is heard", "the line is quiet"),
         "Last heard + `latest_transcript`; `false_start` if something is aside or owed; at the end `silence_budget`",
         due.end_of_false_start, actions.false_start),
    rule("nothing follows a cut", _BEFORE_CLOSING, ("a reply is cut", "nobody is heard", "nothing is told"),
         "Line quiet, or told, + `false_start`",
         lambda state: max(state.at.quiet, state.at.told) + state.deadlines.false_start, actions.false_start),
    rule("speech never ends", _TALK, ("somebody is heard",), "Last heard, asked or refused + `longest_turn`",
         lambda state: max(state.at.heard, state.at.asked, state.at.refused) + state.deadlines.longest_turn,
         TurnState.ask),
    rule("AgentAudioDone is missing", _ALWAYS, ("a reply comes", "nothing sounds"),
         "Played, or ended without audio, + `audio_done_grace`; words without audio: said + `silence_budget`",
         due.end_of_reply, actions.end_reply),
    rule("an echo is missing", _ALWAYS, ("something is told",),
         "Told + `echo`", lambda state: state.at.told + state.deadlines.echo, actions.expect_no_echo),
    rule("the opening was heard", _TALK, ("the opening is due", "nothing is owed", "nothing sounds"),
         "At once", _at_once, actions.open_session),
    rule("a silence is filled", _TALK,
         ("something is owed", "nobody is heard", "nothing sounds", "a session is there", "nothing is outstanding",
          "this silence is unfilled"),
         "Silence + `silence_budget` - `filler_lead`",
         lambda state: state.silent_since + state.deadlines.silence_budget - state.deadlines.filler_lead,
         actions.fill_silence),
    rule("a clip fills it", _BEFORE_CLOSING, ("something is owed", "nobody is heard", "nothing sounds"),
         "Silence + `silence_budget`", lambda state: state.silent_since + state.deadlines.silence_budget,
         actions.clip_silence),
    rule("a vacancy is filled", _TALK, ("nothing is owed", "no session is there", "nothing sounds"),
         "Last sound + `silence_budget`, and session lost + `filler_lead`: a restart is shorter",
         due.vacancy_time, actions.clip_vacancy),
    rule("an injection is not begun", _ALWAYS, ("something is outstanding",),
         "Asked for + `silence_budget`", lambda state: state.at.outstanding + state.deadlines.silence_budget,
         actions.expire_injection),
    rule("the last sentence is heard", _CLOSING, ("the last words have begun", "they were received", "nothing sounds"),
         "Played (+ `goodbye_onset` between two sentences), and the line is quiet, or `goodbye_grace` later",
         due.end_of_closing, actions.end_closed),
    rule("the goodbye is heard", _ENDING, ("nothing is owed", "nothing comes", "nothing sounds"),
         "Played, received + `goodbye_onset`, and nobody speaks: `longest_turn` at most, a noise `farewell_noise`",
         due.end_of_goodbye, actions.end_completed),
    rule("no goodbye comes", _ENDING, ("nothing sounds",),
         "Ended + `goodbye_audio` + `goodbye_grace`, said + `goodbye_audio`, and nobody speaks",
         due.end_without_goodbye, actions.end_completed),
    rule("the transfer's sentence is heard", _TRANSFERRING,
         ("the transfer is announced", "nothing comes", "nothing sounds"),
         "Played, and received + `goodbye_onset`", due.end_of_announcement, actions.put_through),
    rule("the transfer's sentence never comes", _TRANSFERRING, ("nothing sounds",),
         "Wanted, or played, + 2 `goodbye_onset`",
         lambda state: max(state.at.phase, state.at.quiet) + 2 * state.deadlines.goodbye_onset,
         actions.put_through),
    rule("the line does not answer", _PUTTING_THROUGH, (),
         "Line asked + `transfer`", lambda state: state.at.phase + state.deadlines.transfer,
         actions.give_up_transfer),
    rule("a key asks for a person", _TALK,
         ("a person is wanted", "the opening was heard", "a session is there", "no function runs",
          "the call is to go on"),
         "At once", _at_once, actions.announce_transfer),
    rule("keys are told", _TALK,
         ("keys wait", "the opening was heard, or a transfer has failed", "a session is there",
          "nothing is outstanding", "nothing is told"),
         "At once", _at_once, actions.tell_keys),
    rule("a remark is said", _TALK,
         ("a remark waits", "a session is there", "nothing is outstanding", "the call is to go on"),
         "In a pause; else made, or refused, + `remark_within`", due.pause_or_limit_of_remark, actions.say_remark),
    rule("an old session is renewed", _TALK, ("the session is old", "it is a pause"), "At once", _at_once,
         actions.renew),
    rule("words are followed by no deed", _TALK,
         ("a function was announced, or the caller asked to wait", "it is a pause"),
         "Pause + `remind_after`", lambda state: state.callers_turn_since + state.deadlines.remind_after,
         actions.remind),
    rule("the caller is silent", _TALK,
         ("nothing is owed", "the agent is idle", "nobody is heard", "nothing sounds", "no function runs",
          "nothing is outstanding", "nothing is told", "the call is to go on"),
         "Their turn, asked or refused + `caller_silence`; a key + `digit_pause`; a loud line + `longest_turn`",
         due.end_of_callers_silence, actions.ask_caller),
)  # fmt: skip
RULES_IN = {phase: tuple(each for each in RULES if phase in each.phases) for phase in Phase}
"""The rules of each phase."""
