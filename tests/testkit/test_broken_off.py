"""A reply that the service breaks off without a word, at any part of it: the caller, who is silent too, hears more."""

from functools import cache

import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import AgentAudioDone, SettingsApplied
from simulators.deepgram.log import Sent
from testkit import PlannedCall, PlayedCall, answers, conversation, says
from tests.testkit.mistakes import BYE, ENDS, HANDS_ON, LOOKS, PLEASE, WHERE, roster

LONGER = 8.5
"""Seconds that this caller waits for more: longer than the silence budget, and shorter than `caller_silence`."""
CALL = PlannedCall(
    roster(),
    conversation(
        says(WHERE, pause=LONGER),
        LOOKS,
        says(PLEASE, pause=LONGER),
        answers("desk", calls=HANDS_ON),
        says(BYE, pause=LONGER),
        answers("returns", "Thank you. Goodbye.", calls=ENDS),
        patience=60.0,
    ),
)
KINDS = ("silent drop", "stall", "mute")
REPLIES = {"the greeting": (1, 0), "the answer": (1, 2), "the next agent's greeting": (2, 0)}
"""Which connection says it, and which of its replies it is."""


@cache
def sent(connection: int) -> list[tuple[float, float]]:
    """Return from when to when a connection sends each of its replies, in seconds since its SettingsApplied."""
    call = trio.run(CALL.play, clock=MockClock(autojump_threshold=0))
    assert call.exchange is not None
    since, began, found = 0.0, 0.0, list[tuple[float, float]]()
    for entry in call.exchange.log.of(Sent, connection):
        match entry.message:
            case SettingsApplied():
                since = entry.at
            case AgentAudioDone():
                found.append((began - since, entry.at - since))
                began = 0.0
            case _:
                began = entry.at if getattr(entry.message, "role", "") == "assistant" and not began else began
    return found


def broken_off(kind: str, reply: str, share: float) -> PlayedCall:
    connection, number = REPLIES[reply]
    start, end = sent(connection)[number]
    fault = f"deepgram: {kind} after {start + share * (end - start):.3f} s on connection {connection}"
    return trio.run(CALL.play, fault, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("kind", "reply", "share"),
    [("stall", "the greeting", 0.7), ("mute", "the answer", 0.5), ("silent drop", "the next agent's greeting", 0.9)],
)
def test_a_reply_that_is_broken_off_is_followed_by_words(kind: str, reply: str, share: float) -> None:
    call = broken_off(kind, reply, share)

    call.expect_restarts(1).expect_outcome("completed")


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.95])
@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_reply_broken_off_anywhere(kind: str, reply: str, share: float) -> None:
    broken_off(kind, reply, share).expect_restarts(1)
