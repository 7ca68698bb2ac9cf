"""A goodbye, heard to its last word (promise 5).

`hear_out` waits until the caller has heard the last of what an agent says. It owns no task; each wait in it is bounded,
so a mark that never comes back costs a grace and not the line.
"""

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
    caller may answer before it was played: it is not the voice's reply any more then, but must be heard still.
    """
    ledger, policy = desk.ledger, desk.policy
    said = voice.reply
    with trio.move_on_after(policy.goodbye_audio):
        quiet = trio.CancelScope()
        while not quiet.cancelled_caught:
            said = await ledger.wait_reply(voice) if said is None else said
            await ledger.wait_received(said)
            with trio.move_on_after(policy.goodbye_onset) as quiet:
                said = await ledger.wait_reply(voice, other_than=said)
    return said
