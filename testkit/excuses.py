"""What the oracle does not ask of a call in which something was made to go wrong: the one table of it.

A row names the faults, the promise or rule that they make impossible to keep, why, and when in a call that is so. It
counts only for a call that was played with one of these faults. `docs/testing-your-agents.md` shows the table.
"""

import math
from collections.abc import Callable
from typing import Final

import attrs

from actors import facts
from simulators.deepgram.log import FaultInjected
from simulators.faults import OF_LINES
from testkit.heard import holder_at
from testkit.witness import Witnessed

_BREAKS: Final = ("drop", "silent drop", "stall", "mute", "garbage", "error", "close")
_REFUSES: Final = ("refuse connect", "no upgrade", "no welcome", "slow settings")
_SILENCES: Final = ("silent drop", "stall", "mute")


def always(_: Witnessed) -> bool:
    """In any call with the fault."""
    return True


def silent_in_the_goodbye(played: Witnessed) -> bool:
    """Whether the service that was to say the goodbye fell silent without a word."""
    at = max([-math.inf, *played.times(facts.GoodbyeStarted)])
    if at == -math.inf or played.exchange is None:
        return False
    holder = holder_at(played, at)
    return any(entry.fault in _SILENCES for entry in played.exchange.log.of(FaultInjected, holder))


def no_agent_was_left(played: Witnessed) -> bool:
    """Whether every session failed, so that the line says the last words."""
    return played.record is not None and played.record.outcome == "no_agent"


def a_session_was_lost(played: Witnessed) -> bool:
    """Whether a session ended that had the floor."""
    return bool(played.facts(facts.SessionCrashed))


@attrs.frozen
class Excuse:
    """One row: a promise that need not be kept, in a call with one of these faults, where `holds` says so."""

    promise: int | str
    faults: tuple[str, ...]
    why: str
    holds: Callable[[Witnessed], bool] = always


EXCUSES: Final = (
    Excuse(2, ("no media",), "what the caller says, nobody can hear"),
    Excuse(4, ("no media",), "nobody can know that the caller has spoken"),
    Excuse(4, ("stalled reader",), "the phone takes no sound any more"),
    Excuse(5, ("stalled reader",), "the phone takes no sound any more: no goodbye gets across"),
    Excuse(5, _SILENCES, "the service never sends the rest of the goodbye", silent_in_the_goodbye),
    Excuse(5, (*_BREAKS, *_REFUSES), "no agent can be reached: the line says goodbye", no_agent_was_left),
    Excuse(3, ("echo", "two people", "noise"), "words that another sound drowns nobody can tell from a noise"),
    Excuse(
        6, ("echo", "noise"), "the service hears a voice in what is none: no agent gets to speak", no_agent_was_left
    ),
    Excuse("answer", OF_LINES, "words are lost on the line, and replies are cut by what is none"),
    Excuse("consent", OF_LINES, "words are lost on the line"),
    Excuse("answer", _SILENCES, "the caller did not wait for another session", a_session_was_lost),
    Excuse("answer", _SILENCES, "the service never sends the rest of the goodbye", silent_in_the_goodbye),
    Excuse("answer", ("slow think",), "the caller did not wait for the answer"),
    Excuse("consent", _SILENCES, "the caller spoke on, and the next session was asked their yes", a_session_was_lost),
)


def excused_by_faults(played: Witnessed) -> dict[int | str, str]:
    """Return what this call need not keep, each with the reason."""
    kinds = {fault.kind for fault in played.faults}
    return {row.promise: row.why for row in EXCUSES if kinds & set(row.faults) and row.holds(played)}


def as_table() -> str:
    """Write the table as Markdown, for the docs."""
    rows = (f"| {row.promise} | {', '.join(row.faults)} | {row.why} | {_when(row)} |" for row in EXCUSES)
    return "\n".join(["| not asked | faults | because | where |", "|---|---|---|---|", *rows])


def _when(row: Excuse) -> str:
    return (row.holds.__doc__ or "").rstrip(".").removeprefix("Whether ").lower()
