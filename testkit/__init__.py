"""Tests of agents: whole calls in memory, under trio's mock clock.

It may import actors, agents, simulators, protocol and store, and the client that asks for Briefs; nothing of the server
may import it. Our own tests use the same harness and the same oracle.
"""

from testkit.functions import answer, ends_call, fails, hands_off, refuses
from testkit.play import CannotPlay, play
from testkit.played_call import Called, Handoff, PlayedCall
from testkit.steps import answers, calls, conversation, hangs_up, presses, says, waits
from testkit.sweeps import PlannedCall, Struck, every_fault, every_step
from testkit.transcript import ExpectationFailed, PromiseBroken

__all__ = [
    "Called", "CannotPlay", "ExpectationFailed", "Handoff", "PlannedCall", "PlayedCall", "PromiseBroken", "Struck",
    "answer", "answers", "calls", "conversation", "ends_call", "every_fault", "every_step", "fails", "hands_off",
    "hangs_up", "play", "presses", "refuses", "says", "waits",
]  # fmt: skip
