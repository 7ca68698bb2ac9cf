"""What must hold after every run, whatever happened in it. A promise is checked against the world, not the code."""

from collections.abc import Iterator
from itertools import pairwise

from docs.lesson.runners import Run
from docs.lesson.world import DEADLINE, SLACK, TICK, Unexpected, World

PROMISES = {
    "tasks": "nothing is left running",
    "closed": "every session is closed",
    "heard": "every frame of the caller is heard once, in order",
    "voice": "never two voices, nor one that was withdrawn",
    "silence": "no silence while an agent could speak",
    "record": "one outcome is recorded, the right one",
    "time": "decided by the deadline, over when it is over",
    "errors": "no exception is lost",
}
_RIGHT_OUTCOMES = {
    "cancel": "cancelled",
    "hang_up": "hung up",
    "hang_up_twice": "hung up",
    "break_reader": "lost",
    "withdraw": "completed",
}


def broken(run: Run) -> Iterator[tuple[str, str]]:
    """Yield each promise that this run has broken, and how."""
    world = run.world
    if run.left:
        yield "tasks", f"{run.left} left"
    if world.left_open:
        yield "closed", f"session {world.left_open} open"
    yield from (("heard", how) for how in _unheard(run))
    voices = [session for _, session in world.heard]
    if voices != sorted(voices):
        yield "voice", f"{voices}"
    if world.withdrawn_at is not None and (_took_over(world) or 0) > world.withdrawn_at + TICK:
        yield "voice", "the withdrawn agent spoke"
    yield from (("silence", how) for how in _silences(run))
    right = {"completed"} | ({_RIGHT_OUTCOMES[run.fault.name]} if world.struck_at is not None else set())
    if len(world.outcomes) != 1 or world.outcomes[0] not in right:
        yield "record", f"{world.outcomes}"
    yield from (("time", how) for how in _delays(run))
    reported = {id(leaf) for error in world.errors for leaf in _leaves(error)}
    if any(id(error) not in reported for error in world.raised if isinstance(error, Unexpected)):
        yield "errors", "an exception that nobody was told of"


def _unheard(run: Run) -> Iterator[str]:
    world = run.world
    frames = [frame for frame, _ in world.received]
    if frames != list(range(len(frames))):
        yield f"{frames}"
    late = any(session == 1 and frame >= world.asked_frame for frame, session in world.received)
    if _took_over(world) and world.asked_at is not None and late:
        yield "what was said after the request went to the old agent"
    if run.fault.name != "break_reader" and world.sessions and len(frames) < _owed(run):
        yield f"only {len(frames)} of {_owed(run)}"


def _owed(run: Run) -> int:
    """Count the frames that must have been heard by now; those since the request wait until the handoff is decided."""
    world = run.world
    end = world.hung_up_at or world.ended_at
    if run.fault.name == "cancel":
        end = world.struck_at or end
    owed = int((end - SLACK) / TICK)
    decided = _took_over(world) or world.decided_at
    if world.asked_at is not None and (decided is None or end - decided < SLACK):
        owed = min(owed, world.asked_frame - 1)
    return owed


def _silences(run: Run) -> Iterator[str]:
    world, fault = run.world, run.fault.name
    if world.outcomes == ["lost"] and fault == "break_reader" and world.struck_at is not None and _could_speak(world):
        yield "the call ended while another agent was coming"
    if not world.said_goodbye and fault in {"", "withdraw"}:
        yield f"the caller was left alone after {world.ended_at:.2f} s"
    until = world.ended_at if world.hung_up_at is None else world.hung_up_at
    times = [at for at, _ in world.heard if at <= until] + [until]
    gap = max((after - before for before, after in pairwise(times)), default=0.0)
    if gap > DEADLINE + SLACK:
        yield f"{gap:.2f} s"


def _could_speak(world: World) -> bool:
    """Tell whether the second agent was coming, or there, when the first one's reader broke."""
    comes = world.second in {"comes", "burst", "prompt"}
    return comes and world.broken_session == 1 and (world.was_connecting or len(world.sessions) == 2)


def _delays(run: Run) -> Iterator[str]:
    world = run.world
    if world.asked_at is not None:
        decided = min(at for at in (_took_over(world), world.decided_at, world.ended_at) if at is not None)
        if decided - world.asked_at > DEADLINE + TICK:
            yield f"decided after {decided - world.asked_at:.2f} s"
    ends = run.fault.name in {"cancel", "hang_up", "hang_up_twice"}
    if ends and world.struck_at is not None and world.ended_at - world.struck_at > SLACK:
        yield f"over {world.ended_at - world.struck_at:.2f} s after the end"


def _took_over(world: World) -> float | None:
    return next((at for at, session in world.heard if session == 2), None)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
