"""The rules of time, in order of priority.

A rule is due when the phase is one of its phases, all of its conditions hold, and its time has come. What it does ends
the condition, or moves the clock that it counts from. A rule also ends each effect whose event does not come.
"""

from collections.abc import Callable

import attrs

from actors.turn import actions, due
from actors.turn.clocks import NEVER
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase, SpeechKind, VoiceState


@attrs.frozen
class Condition:
    """Something that must hold for a rule to be due."""

    words: str
    holds: Callable[[TurnState], bool]


@attrs.frozen
class Rule:
    """An action that becomes due when no event comes."""

    name: str
    phases: frozenset[Phase]
    conditions: tuple[Condition, ...]
    due: Callable[[TurnState], float]
    action: Callable[[TurnState], None]

    def due_at(self, state: TurnState) -> float:
        """Return when it fires, in one of its phases, if no event comes before; infinity: not in this state."""
        for condition in self.conditions:
            if not condition.holds(state):
                return NEVER
        return self.due(state)


# Conditions

SOMETHING_IS_OWED = Condition("something is owed", lambda state: state.debt is Debt.OWED)
NOTHING_IS_OWED = Condition("nothing is owed", lambda state: state.debt is Debt.SETTLED)
NOBODY_IS_HEARD = Condition("nobody is heard", lambda state: state.caller is CallerState.QUIET)
SOMEBODY_IS_HEARD = Condition("somebody is heard", lambda state: state.caller is CallerState.HEARD)
THE_LINE_IS_QUIET = Condition("the line is quiet", lambda state: not state.is_loud)
NOTHING_SOUNDS = Condition("nothing sounds", lambda state: not state.sounding)
A_SESSION_IS_THERE = Condition("a session is there", lambda state: state.voice is not VoiceState.ABSENT)
NO_SESSION_IS_THERE = Condition("no session is there", lambda state: state.voice is VoiceState.ABSENT)
NOTHING_COMES = Condition("nothing comes", lambda state: state.voice in (VoiceState.IDLE, VoiceState.ABSENT))
A_REPLY_COMES = Condition("a reply comes", lambda state: state.voice in (VoiceState.COMING, VoiceState.LATE))
A_REPLY_IS_CUT = Condition("a reply is cut", lambda state: state.voice is VoiceState.CUT)
THE_AGENT_IS_IDLE = Condition("the agent is idle", lambda state: state.voice is VoiceState.IDLE)
NOTHING_IS_OUTSTANDING = Condition("nothing is outstanding", lambda state: state.outstanding is None)
SOMETHING_IS_OUTSTANDING = Condition(
    "something is outstanding",
    lambda state: (
        state.outstanding is not None and state.outstanding.kind not in (SpeechKind.CLOSING, SpeechKind.TRANSFER)
    ),
)
"""The last sentence, and the sentence before a transfer, have rules of their own."""
THE_TRANSFER_IS_ANNOUNCED = Condition(
    "the transfer is announced",
    lambda state: state.outstanding is None or state.outstanding.kind is not SpeechKind.TRANSFER,
)
SOMETHING_IS_TOLD = Condition("something is told", lambda state: state.told != "")
NOTHING_IS_TOLD = Condition("nothing is told", lambda state: state.told == "")
NO_FUNCTION_RUNS = Condition("no function runs", lambda state: not state.running)
THIS_SILENCE_IS_UNFILLED = Condition("this silence is unfilled", lambda state: state.at.filler < state.silent_since)
THE_OPENING_IS_DUE = Condition("the opening is due", lambda state: not state.is_opened)
THE_OPENING_WAS_HEARD = Condition("the opening was heard", lambda state: state.is_opened)
A_PERSON_IS_WANTED = Condition(
    "a person is wanted", lambda state: (state.wants_person or state.is_person_ordered) and not state.why_no_person
)
KEYS_WAIT = Condition("keys wait", lambda state: bool(state.keys) or state.why_no_person != "")
THEY_MAY_BE_TOLD = Condition(
    "the opening was heard, or a transfer has failed", lambda state: state.is_opened or state.why_no_person != ""
)
A_REMARK_WAITS = Condition("a remark waits", lambda state: state.remark != "")
THE_SESSION_IS_OLD = Condition("the session is old", lambda state: state.is_aged)
A_DEED_WAS_ANNOUNCED = Condition(
    "a function was announced, or the caller asked to wait", lambda state: state.announced != "" or state.asks_to_wait
)
IT_IS_A_PAUSE = Condition("it is a pause", lambda state: state.is_pause)
THE_CALL_IS_TO_CLOSE = Condition("the call is to close", lambda state: state.closing is not None)
THE_CALL_IS_TO_GO_ON = Condition("the call is to go on", lambda state: state.closing is None)
THERE_ARE_NO_LAST_WORDS = Condition(
    "there are no last words", lambda state: state.closing is not None and not state.closing.sentence
)
IT_MAY_STAY = Condition("the call is to close for the caller's silence", lambda state: state.may_stay)
THE_CALLER_SPEAKS = Condition(
    "the caller begins to speak", lambda state: state.is_loud and state.at.voiced > state.at.close_asked
)
THE_WORDS_WAIT_FOR_A_BEEP = Condition(
    "the words wait for a beep", lambda state: state.closing is not None and state.closing.waits_for_beep
)
THE_LAST_WORDS_HAVE_BEGUN = Condition("the last words have begun", lambda state: state.has_closing_begun)
THE_LAST_WORDS_HAVE_NOT_BEGUN = Condition("the last words have not begun", lambda state: not state.has_closing_begun)
THEY_WERE_NOT_INSISTED_ON = Condition("they were not insisted on", lambda state: not state.is_insisting)
THEY_WERE_RECEIVED = Condition(
    "they were received", lambda state: state.is_closing_sent or state.voice is VoiceState.IDLE
)
"""All of them, or all that the session will send that has begun them."""


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
    Rule("a call ends without last words", _ALWAYS, (THERE_ARE_NO_LAST_WORDS,), due.at_once, actions.end_without_words),
    Rule(
        "the caller is there after all",
        _CLOSING,
        (IT_MAY_STAY, THE_CALLER_SPEAKS),
        due.end_of_word,
        actions.stay,
    ),
    Rule("a message waits for the beep", _BEFORE_CLOSING, (THE_WORDS_WAIT_FOR_A_BEEP,), due.at_once, actions.hush),
    Rule(
        "the call closes unsaid",
        _BEFORE_CLOSING | _CLOSING | _in(Phase.TAKEN_OVER),
        (THE_CALL_IS_TO_CLOSE,),
        due.closing_limit,
        actions.close_unsaid,
    ),
    Rule("the beep never comes", _in(Phase.HUSHED), (), due.beep_limit, actions.say_closing),
    Rule(
        "closing begins",
        _TALK,
        (THE_CALL_IS_TO_CLOSE, A_SESSION_IS_THERE),
        due.pause_or_half_the_limit,
        actions.start_closing,
    ),
    Rule(
        "closing insists",
        _CLOSING,
        (THE_LAST_WORDS_HAVE_NOT_BEGUN, THEY_WERE_NOT_INSISTED_ON),
        due.onset_of_closing,
        actions.say_closing,
    ),
    Rule(
        "nothing follows speech",
        _BEFORE_CLOSING,
        (SOMEBODY_IS_HEARD, THE_LINE_IS_QUIET),
        due.end_of_false_start,
        actions.false_start,
    ),
    Rule(
        "nothing follows a cut",
        _BEFORE_CLOSING,
        (A_REPLY_IS_CUT, NOBODY_IS_HEARD, NOTHING_IS_TOLD),
        due.end_of_cut,
        actions.false_start,
    ),
    Rule(
        "speech never ends",
        _TALK,
        (SOMEBODY_IS_HEARD,),
        due.end_of_longest_turn,
        actions.probe,
    ),
    Rule("AgentAudioDone is missing", _ALWAYS, (A_REPLY_COMES, NOTHING_SOUNDS), due.end_of_reply, actions.end_reply),
    Rule("an echo is missing", _ALWAYS, (SOMETHING_IS_TOLD,), due.end_of_echo, actions.expect_no_echo),
    Rule(
        "the opening was heard",
        _TALK,
        (THE_OPENING_IS_DUE, NOTHING_IS_OWED, NOTHING_SOUNDS),
        due.at_once,
        actions.open_session,
    ),
    Rule(
        "a silence is filled",
        _TALK,
        (
            SOMETHING_IS_OWED,
            NOBODY_IS_HEARD,
            NOTHING_SOUNDS,
            A_SESSION_IS_THERE,
            NOTHING_IS_OUTSTANDING,
            THIS_SILENCE_IS_UNFILLED,
        ),
        due.filler_time,
        actions.fill_silence,
    ),
    Rule(
        "a clip fills it",
        _BEFORE_CLOSING,
        (SOMETHING_IS_OWED, NOBODY_IS_HEARD, NOTHING_SOUNDS),
        due.clip_time,
        actions.clip_silence,
    ),
    Rule(
        "a vacancy is filled",
        _TALK,
        (NOTHING_IS_OWED, NO_SESSION_IS_THERE, NOTHING_SOUNDS),
        due.vacancy_time,
        actions.clip_vacancy,
    ),
    Rule(
        "an injection is not begun",
        _ALWAYS,
        (SOMETHING_IS_OUTSTANDING,),
        due.onset_of_injection,
        actions.expire_injection,
    ),
    Rule(
        "the last sentence is heard",
        _CLOSING,
        (THE_LAST_WORDS_HAVE_BEGUN, THEY_WERE_RECEIVED, NOTHING_SOUNDS),
        due.end_of_closing,
        actions.end_closed,
    ),
    Rule(
        "the goodbye is heard",
        _ENDING,
        (NOTHING_IS_OWED, NOTHING_COMES, NOTHING_SOUNDS),
        due.end_of_goodbye,
        actions.end_completed,
    ),
    Rule("no goodbye comes", _ENDING, (NOTHING_SOUNDS,), due.end_without_goodbye, actions.end_completed),
    Rule(
        "the transfer's sentence is heard",
        _TRANSFERRING,
        (THE_TRANSFER_IS_ANNOUNCED, NOTHING_COMES, NOTHING_SOUNDS),
        due.end_of_announcement,
        actions.put_through,
    ),
    Rule(
        "the transfer's sentence never comes",
        _TRANSFERRING,
        (NOTHING_SOUNDS,),
        due.end_without_announcement,
        actions.put_through,
    ),
    Rule("the line does not answer", _PUTTING_THROUGH, (), due.end_of_putting_through, actions.give_up_transfer),
    Rule(
        "a key asks for a person",
        _TALK,
        (A_PERSON_IS_WANTED, THE_OPENING_WAS_HEARD, A_SESSION_IS_THERE, NO_FUNCTION_RUNS, THE_CALL_IS_TO_GO_ON),
        due.at_once,
        actions.announce_transfer,
    ),
    Rule(
        "keys are told",
        _TALK,
        (KEYS_WAIT, THEY_MAY_BE_TOLD, A_SESSION_IS_THERE, NOTHING_IS_OUTSTANDING, NOTHING_IS_TOLD),
        due.at_once,
        actions.tell_keys,
    ),
    Rule(
        "a remark is said",
        _TALK,
        (A_REMARK_WAITS, A_SESSION_IS_THERE, NOTHING_IS_OUTSTANDING, THE_CALL_IS_TO_GO_ON),
        due.pause_or_its_limit,
        actions.say_remark,
    ),
    Rule("an old session is renewed", _TALK, (THE_SESSION_IS_OLD, IT_IS_A_PAUSE), due.at_once, actions.renew),
    Rule(
        "words are followed by no deed",
        _TALK,
        (A_DEED_WAS_ANNOUNCED, IT_IS_A_PAUSE),
        due.end_of_deed,
        actions.remind,
    ),
    Rule(
        "the caller is silent",
        _TALK,
        (
            NOTHING_IS_OWED,
            THE_AGENT_IS_IDLE,
            NOBODY_IS_HEARD,
            NOTHING_SOUNDS,
            NO_FUNCTION_RUNS,
            NOTHING_IS_OUTSTANDING,
            NOTHING_IS_TOLD,
            THE_CALL_IS_TO_GO_ON,
        ),
        due.end_of_callers_silence,
        actions.ask_caller,
    ),
)
RULES_IN = {phase: tuple(rule for rule in RULES if phase in rule.phases) for phase in Phase}
"""The rules of each phase."""
