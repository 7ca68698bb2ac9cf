"""The conditions under which a rule is due or a row is taken, by the words that `docs/turns.md` shows."""

from collections.abc import Callable

import attrs

from actors.turn.events import FloorGiven, InjectionBegan, VoiceEnded
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase, SpeechKind, VoiceState


@attrs.frozen
class Condition:
    """Something that must hold."""

    words: str
    holds: Callable[[TurnState], bool]


def when(words: str) -> Condition:
    """Return the condition of these words. *Raises* `KeyError` if there is none."""
    return Condition(words, CONDITIONS[words])


def _a_start_may_cut_it(state: TurnState) -> bool:
    """What a false start has cut already is cut again only if the line, too, carries a voice."""
    return state.phase is Phase.CONVERSING and (state.is_loud or not state.is_resumed)


def _it_is_to_be_answered(state: TurnState) -> bool:
    if state.ends_upon_words:
        return not state.has_answered_speech
    return state.phase is not Phase.ENDING or state.may_be_reopened


def _nobody_is_spoken_over(state: TurnState) -> bool:
    """The service refuses a question while it hears the caller; it never refuses what interrupts."""
    begun = state.event
    return not state.is_loud or (isinstance(begun, InjectionBegan) and begun.kind is SpeechKind.QUESTION)


def _service_is_deaf(state: TurnState) -> bool:
    return isinstance(state.event, VoiceEnded) and state.event.deaf and state.phase is Phase.CONVERSING


def _session_owes_words(state: TurnState) -> bool:
    return isinstance(state.event, FloorGiven) and (state.event.owes or state.event.ask != "")


def _is_outstanding(state: TurnState, *kinds: SpeechKind) -> bool:
    return state.outstanding is not None and state.outstanding.kind in kinds


_WITH_OTHER_RULES = (SpeechKind.CLOSING, SpeechKind.TRANSFER)
CONDITIONS: dict[str, Callable[[TurnState], bool]] = {
    # The line
    "the line is loud": lambda state: state.is_loud,
    "the line is quiet": lambda state: not state.is_loud,
    "nothing sounds": lambda state: not state.sounding,
    "something sounds that a start may cut": lambda state: state.sounding and _a_start_may_cut_it(state),
    "a resumed reply sounds": lambda state: state.phase is Phase.CONVERSING and state.is_resumed,
    # The caller
    "somebody is heard": lambda state: state.caller is CallerState.HEARD,
    "nobody is heard": lambda state: state.caller is CallerState.QUIET,
    "nobody is spoken over": _nobody_is_spoken_over,
    # The service does not speak while it hears the caller; but a sentence of a goodbye may come late
    "the service hears nobody": lambda state: (
        not state.is_loud and state.voice is not VoiceState.CUT and state.phase is not Phase.ENDING
    ),
    "the service is deaf": _service_is_deaf,
    "the refusal proves speech": lambda state: state.is_loud and not state.sounding and state.voice is VoiceState.IDLE,
    "words are unread": lambda state: state.is_unread and state.phase is Phase.CONVERSING,
    "the caller begins to speak": lambda state: state.is_loud and state.at.voiced > state.at.close_asked,
    # The agent's voice
    "a session is there": lambda state: state.voice is not VoiceState.ABSENT,
    "no session is there": lambda state: state.voice is VoiceState.ABSENT,
    "the agent is idle": lambda state: state.voice is VoiceState.IDLE,
    "nothing comes": lambda state: state.voice in (VoiceState.IDLE, VoiceState.ABSENT),
    "a reply comes": lambda state: state.voice in (VoiceState.COMING, VoiceState.LATE),
    "a reply is cut": lambda state: state.voice is VoiceState.CUT,
    "a start may cut it": _a_start_may_cut_it,
    "nothing is aside": lambda state: state.aside is None,
    "words are audible": lambda state: state.is_audible,
    # The end of the audio is not the end of a reply that has had none: it may have come first
    "it has sound": lambda state: state.has_sound,
    "nothing is outstanding": lambda state: state.outstanding is None,
    # The last sentence, and the sentence before a transfer, have rules of their own
    "something is outstanding": lambda state: (
        state.outstanding is not None and not _is_outstanding(state, *_WITH_OTHER_RULES)
    ),
    "something is told": lambda state: state.told != "",
    "nothing is told": lambda state: state.told == "",
    # The debt
    "something is owed": lambda state: state.debt is Debt.OWED,
    "nothing is owed": lambda state: state.debt is Debt.SETTLED,
    "this silence is unfilled": lambda state: state.at.filler < state.silent_since,
    # The agent's words are what the caller waits for, and not a person
    "it is answered": lambda state: state.is_answered and state.phase is not Phase.PUTTING_THROUGH,
    "it is to be answered": _it_is_to_be_answered,
    "the turn can be asked again": lambda state: state.last_turn != "",
    # The agent has said what goes with it; what is refused settles nothing
    "it is said already": lambda state: state.has_spoken and state.phase is Phase.CONVERSING,
    "the session owes words": _session_owes_words,
    "it leaves something": lambda state: state.debt is Debt.OWED or state.caller is CallerState.HEARD,
    # The session, its functions, and what waits to be told or said
    "no function runs": lambda state: not state.running,
    "the opening is due": lambda state: not state.is_opened,
    "the opening was heard": lambda state: state.is_opened,
    "the opening was heard, or a transfer has failed": lambda state: state.is_opened or state.why_no_person != "",
    "a person is wanted": lambda state: (state.wants_person or state.is_person_ordered) and not state.why_no_person,
    "the transfer is announced": lambda state: not _is_outstanding(state, SpeechKind.TRANSFER),
    "keys wait": lambda state: bool(state.keys) or state.why_no_person != "",
    "a remark waits": lambda state: state.remark is not None,
    "the session is old": lambda state: state.is_aged,
    "a function was announced, or the caller asked to wait": lambda state: state.announced != "" or state.asks_to_wait,
    "it is a pause": lambda state: state.is_pause,
    # The phase, and the end of the call
    "they converse": lambda state: state.phase is Phase.CONVERSING,
    "no goodbye or transfer is under way": lambda state: state.phase not in (Phase.ENDING, Phase.TRANSFERRING),
    "the end answers them": lambda state: state.ends_upon_words,
    "the call may go on": lambda state: state.may_be_reopened,
    "the call is to close": lambda state: state.closing is not None,
    "the call is to go on": lambda state: state.closing is None,
    "the call is to close for the caller's silence": lambda state: state.may_stay,
    "there are no last words": lambda state: state.closing is not None and not state.closing.sentence,
    "the words wait for a beep": lambda state: state.closing is not None and state.closing.waits_for_beep,
    "the last words have begun": lambda state: state.has_closing_begun,
    "the last words have not begun": lambda state: not state.has_closing_begun,
    "they were not insisted on": lambda state: not state.is_insisting,
    # All of them, or all that the session will send that has begun them
    "they were received": lambda state: state.is_closing_sent or state.voice is VoiceState.IDLE,
}
