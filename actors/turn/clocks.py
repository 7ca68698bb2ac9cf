"""The clocks of `Turn`: when each thing last happened. A rule is due so long after one of them.

Each is moved by one verb of `state.py`, or by one note: half of the faults of turn-taking are clocks that an event has
moved that should not.
"""

import math

import attrs

NEVER = math.inf
AT_ONCE = -math.inf


@attrs.define
class Clocks:
    """When each thing last happened; minus infinity: it has not."""

    heard: float = -math.inf
    """The service heard the caller begin, or proved that it hears them."""
    voiced: float = -math.inf
    """The line began, or ceased, to carry the caller's voice."""
    key: float = -math.inf
    """A key was pressed, of an entry that is not finished."""
    quiet: float = -math.inf
    """The last sound of ours ended."""
    cut: float = -math.inf
    """What sounded, or came, was cut: what was on its way may still come."""
    resumed: float = -math.inf
    clip: float = -math.inf
    wanted: float = -math.inf
    """Something was asked of the agent: by the caller, or with the answer of a function."""
    owed: float = -math.inf
    """The silence began in which the caller waits."""
    waiting: float = math.inf
    """The caller began to wait for this answer; infinity: they do not."""
    turned: float = -math.inf
    """It became the caller's turn: nothing was owed any more, or a session took the floor."""
    said: float = -math.inf
    """The agent said something, of its own accord or because it was asked to."""
    began: float = math.inf
    """The audio of the last reply began; infinity: it has none."""
    answered: float = -math.inf
    """The agent said something of its own accord."""
    done: float = -math.inf
    """The last reply was received."""
    alive: float = -math.inf
    """The service showed that it works on an answer."""
    outstanding: float = -math.inf
    filler: float = -math.inf
    asked: float = -math.inf
    """The caller was asked whether they are there."""
    refused: float = -math.inf
    """The service refused to say something."""
    told: float = -math.inf
    vacated: float = -math.inf
    """A session lost the floor."""
    phase: float = -math.inf
    """The phase of the call began, or its last sentence was asked for anew."""
    result: float = -math.inf
    """The model got the answer of a function."""
    remark: float = -math.inf
    close_asked: float = -math.inf
    closing_begun: float = -math.inf
