"""A goodbye, heard to its last word (promise 5).

`hear_out` waits until the caller has heard the last of what an agent says. It owns no task; each wait in it is bounded,
so a mark that never comes back costs a grace and not the line.
"""

import math

import trio

from actors.desk import Desk
from actors.facts import GoodbyeHeard
from actors.reply import Reply, Voice
from actors.silence import say_clip

ASK_GOODBYE = '{"ok": true, "next": "Say goodbye now, in one short sentence. The call ends when you have said it."}'


async def hear_out(desk: Desk, voice: Voice, sound: str) -> bool:
    """Wait until everything this voice says has been played; return whether the caller heard it all.

    `sound` is the name of the voice in which a filler is said, when nothing of the goodbye comes for too long.
    """
    said = await _last_reply(desk, voice, sound)
    desk.ledger.end_reply(voice)
    return await _is_heard(desk, said)


async def play_out(desk: Desk, voice: Voice) -> None:
    """Wait until what has been said has been played: of a session that is gone, and had ended the conversation."""
    desk.journal.note(GoodbyeHeard(voice.agent, await _is_heard(desk, desk.conversation.last_reply)))


async def _is_heard(desk: Desk, said: Reply | None) -> bool:
    with trio.move_on_after(desk.ledger.unplayed + desk.policy.goodbye_grace):
        if said is not None:
            await said.ended.wait()
    return said is not None and said.complete


async def _last_reply(desk: Desk, voice: Voice, sound: str) -> Reply | None:
    """Wait until the service has sent all of what it is saying, and nothing else follows; return the last reply.

    The function call can overtake the audio of the sentence before it, so the goodbye may be the next reply. And the
    caller may answer before it was played: it is not the voice's reply any more then, but must be heard still. A
    service that falls silent in the middle is not waited for longer than any other silence may last; one that has not
    begun is, after a filler.
    """
    ledger, policy = desk.ledger, desk.policy
    began, is_filled = trio.current_time(), False
    said, sent, received, came = voice.reply, math.inf, ledger.received, -math.inf
    while True:
        now = trio.current_time()
        if voice.reply is not None and voice.reply is not said:
            said, sent = voice.reply, math.inf
        if said is not None and (said.whole or said.closed):
            sent = min(sent, now)
        if ledger.received != received:
            received, came = ledger.received, now
        patient = _end_of_patience(desk, began)
        latest = max(began + policy.goodbye_audio, came + policy.goodbye_onset)
        due = min(sent + policy.goodbye_onset, patient, latest)
        if now >= due and now >= patient and said is None and not is_filled:
            say_clip(desk, sound, voice.agent, patient - policy.silence_budget)
            is_filled = True
        elif now >= due:
            return said
        with trio.move_on_at(due):
            await ledger.wait_change()


def _end_of_patience(desk: Desk, began: float) -> float:
    """Return when the caller has waited for the goodbye in silence for too long."""
    ledger, policy = desk.ledger, desk.policy
    if ledger.unplayed:
        return trio.current_time() + ledger.unplayed + policy.silence_budget
    return max(desk.quiet_since + policy.silence_budget, began + policy.goodbye_onset)
