"""The longest that a call may take: a warning some time before, a goodbye at the end.

`mind_length` is a child of the call. It speaks to nobody itself: it tells the turn both sentences, the first for the
next pause, the second to end the call.
"""

import trio

from actors.call_state import CallState
from actors.turn.events import CloseAsked, RemarkMade

OUTCOME = "max_length"


async def mind_length(state: CallState, longest: float) -> None:
    """End the call when it has lasted `longest` seconds; it is warned before unless it is shorter than the warning."""
    policy, started = state.policy, state.journal.started
    if longest > policy.deadlines.length_notice:
        await trio.sleep_until(started + longest - policy.deadlines.length_notice)
        state.turn.put(RemarkMade(policy.wording.length_warning))
    await trio.sleep_until(started + longest)
    state.turn.put(CloseAsked(OUTCOME, policy.wording.length_goodbye))
