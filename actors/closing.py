"""Ends a call that the switchboard does not want to go on: politely, and in time.

`wait_unsaid` is what the call falls back on. The agent on the floor says the last sentence and has it heard
(`actors/cues.py`), which ends the conversation in the ordinary way; this returns only if it does not. It owns no task.
"""

import trio

from actors.desk import Desk
from actors.facts import CallClosing, ClosingUnsaid
from actors.prompter import Closing

_SLOWEST_SPEECH = 10.0
"""Characters a second."""


async def wait_unsaid(desk: Desk) -> Closing:
    """Wait until the call is to end and no agent can say so; return what is to be said by somebody else.

    An agent that has begun is waited for as long as any goodbye is, and as a long message takes.
    """
    closing, policy = await desk.prompter.wait_closing(), desk.policy
    desk.journal.note(CallClosing(closing.outcome))
    if closing.go is not None:
        with trio.move_on_after(2 * policy.machine_greeting):  # its own limit, and nobody may be there to keep it
            await closing.go.wait()
    if closing.sentence:
        with trio.move_on_after(closing.within):
            await desk.prompter.wait_begun()
        if desk.prompter.is_begun:
            spoken = max(policy.goodbye_audio, len(closing.sentence) / _SLOWEST_SPEECH)
            await trio.sleep(2 * policy.goodbye_onset + spoken + policy.goodbye_grace)
    desk.journal.note(ClosingUnsaid(closing.outcome))
    return closing
