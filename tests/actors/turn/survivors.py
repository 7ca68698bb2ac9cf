"""Changes of the tables, the rules and the code that no test can notice, each with the reason.

The keys are patterns of the names that `mutate.py` prints. A reason whose change is noticed after all is reported too.
"""

_SAME_STATE = "the change is into the state that holds already, and does nothing else"
_FOR_THE_TYPES = "it always holds there, which only the types do not say"
_WAITS_ALREADY = "`owe` leaves the silence of a caller who waits already as it is"

SURVIVORS: dict[str, str] = {
    "change added: * in OVER as in *": "a call that is over takes no event: `Turn.on` returns before the tables",
    "change added: caller: CallerSaid in QUIET as in HEARD": _SAME_STATE,
    "change added: caller: TurnToldLate in QUIET as in HEARD": _SAME_STATE,
    "change added: caller: AgentSaid in QUIET as in HEARD": _SAME_STATE,
    "change added: caller: FLOOR_VACATED in QUIET as in HEARD": _SAME_STATE,
    "change added: caller: SAY_REFUSED in HEARD as in QUIET": "the clock that it moves counts on a quiet line only",
    "change added: voice: HANDOFF_ENDED in IDLE as in ABSENT": _SAME_STATE,
    "change added: voice: LATE_FILLER_BEGAN in LATE as in IDLE": _SAME_STATE,
    "change added: voice: AUDIO_DONE in IDLE as in COMING": _SAME_STATE,
    "change added: voice: THINKING_BEGAN in IDLE as in CUT": _SAME_STATE,
    "change added: voice: AgentSaid in ABSENT as in IDLE": '"words are audible" does not hold there',
    "change added: debt: TOLD_ECHOED in OWED as in SETTLED": _WAITS_ALREADY,
    "change added: debt: FunctionsAsked in OWED as in SETTLED": _WAITS_ALREADY,
    "change added: debt: DECISION_CANCELLED in OWED as in SETTLED": _WAITS_ALREADY,
    "change added: phase: DECISION_CANCELLED in CONVERSING as in TRANSFERRING": _SAME_STATE,
    "change added: phase: FloorGiven in CONVERSING as in HANDING_OVER": _SAME_STATE,
    "change added: phase: FLOOR_VACATED in CONVERSING as in TRANSFERRING": _SAME_STATE,
    "change added: phase: KeysEntered in HUSHED as in ENDING": '"the call may go on" does not hold there',
    "change added: phase: KeysEntered in CLOSING as in ENDING": '"the call may go on" does not hold there',
    "change added: phase: CallerSaid in CLOSING as in TRANSFERRING": '"it may be taken back" does not hold there',
    "branch: actions.say_closing: self.closing is not None in *": _FOR_THE_TYPES,
    "branch: rules.closing_limit: closing is None in *": _FOR_THE_TYPES,
    "branch: tables.<lambda>: isinstance(state.event, events.* in *": _FOR_THE_TYPES,
    "branch: state.asking: * if not isinstance(*": _FOR_THE_TYPES,
    "change added: phase: TAKEN_OVER in TAKEN_OVER as in CONVERSING": _SAME_STATE,
}
