"""A goodbye, heard to its last word (promise 5).

`hear_out` waits until the caller has heard the last of what an agent says. It owns no task; each wait in it is bounded,
so a mark that never comes back costs a grace and not the line.
"""

import math

import trio

from actors.desk import Desk
from actors.reply import Reply, Voice


async def hear_out(desk: Desk, voice: Voice) -> bool:
    """Wait until everything this voice says has been played; return whether the caller heard it all."""
    policy, ledger = desk.policy, desk.ledger
    said = await _last_reply(desk, voice)
    with trio.move_on_after(ledger.unplayed + policy.goodbye_grace):
        if said is not None:
            await said.ended.wait()
    return said is not None and said.complete


async def _last_reply(desk: Desk, voice: Voice) -> Reply | None:
    """Wait until the service has sent all of what it is saying, and nothing else follows; return the last reply.

    The function call can overtake the audio of the sentence before it, so the goodbye may be the next reply. And the
    caller may answer before it was played: it is not the voice's reply any more then, but must be heard still. A
    service that falls silent in the middle is not waited for longer than any other silence may last.
    """
    ledger, policy = desk.ledger, desk.policy
    began = trio.current_time()
    said, sent = voice.reply, math.inf
    while True:
        now = trio.current_time()
        if voice.reply is not None and voice.reply is not said:
            said, sent = voice.reply, math.inf
        if said is not None and (said.whole or said.closed):
            sent = min(sent, now)
        due = min(sent + policy.goodbye_onset, _end_of_patience(desk, began), began + policy.goodbye_audio)
        if now >= due:
            return said
        with trio.move_on_at(due):
            await ledger.wait_change()


def _end_of_patience(desk: Desk, began: float) -> float:
    """Return when the caller has waited for the goodbye in silence for too long."""
    ledger, policy = desk.ledger, desk.policy
    if ledger.unplayed:
        return trio.current_time() + ledger.unplayed + policy.silence_budget
    silent = max(ledger.quiet_since, desk.journal.started + desk.activity.last)
    return max(silent + policy.silence_budget, began + policy.goodbye_onset)
