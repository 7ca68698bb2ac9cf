"""What the records and orders of a run of `bench.fleet_chaos` may be, and nothing else.

A worker announces each step of a call: `in` (it carries the call), `saving` (it begins to keep the record) and `out`
(the record is kept). From the announcements and from which worker was killed follows what may be kept of the call:

    announced last                          by a worker that lived        by the killed one
    nothing, asked by webhook               a mistake                     no record
    nothing, asked by stream                a mistake                     no record, or cut (it died before the answer)
    no, full                                no record                     no record
    yes                                     a mistake: no stream came     a mistake
    in                                      a mistake                     cut
    saving                                  a mistake                     cut, or completed
    out                                     completed                     completed

`completed` is the whole record, `cut` says that the worker died: with the last words, once the call was noted. Values:
nothing here looks at a clock or a database.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum

import attrs

WHY_CUT = "its worker died"
NOTED_SECONDS = 3.0
"""After so long a call has been noted: on the disk each 0.5 s, and in the database by a beat."""
STEPS = ("yes", "no", "full", "in", "saving", "out")


class End(Enum):
    """The end of a call, by what is kept of it."""

    NOTHING = "no record"
    COMPLETED = "completed"
    CUT = "cut"
    CUT_UNNOTED = "cut without last words"


@attrs.frozen
class Said:
    """One announcement."""

    at: float
    worker: str
    what: str


@attrs.frozen
class Story:
    """The traces of one call outside of the workers: who was asked last, and what they said, in order."""

    call_sid: str
    asked: str
    """The worker that was asked last."""
    was_streamed: bool
    """Whether it was asked to carry the call, and not only whether there is room."""
    said: tuple[Said, ...] = ()

    @property
    def last(self) -> Said:
        """Return the last announcement."""
        return self.said[-1] if self.said else Said(0.0, self.asked, "nothing")

    def acceptable(self, killed: str, killed_at: float) -> frozenset[End]:
        """Return what may be kept of it; nothing at all where a worker that lived has not finished what it began."""
        match self.last.what:
            case "no" | "full":
                return frozenset({End.NOTHING})
            case "out":
                return frozenset({End.COMPLETED})
            case "in" | "saving" as step if self.last.worker == killed:
                cut = {End.CUT} if killed_at - self.first_in > NOTED_SECONDS else {End.CUT, End.CUT_UNNOTED}
                return frozenset(cut if step == "in" else cut | {End.COMPLETED})
            case "nothing" | "yes" if self.asked == killed and self.was_streamed == (self.last.what == "yes"):
                return frozenset({End.NOTHING, End.CUT_UNNOTED, End.CUT} if self.was_streamed else {End.NOTHING})
            case _:
                return frozenset()

    @property
    def first_in(self) -> float:
        """When it was let in."""
        return next((one.at for one in self.said if one.what == "in"), self.last.at)

    def steps_in_order(self) -> bool:
        """Tell whether each step was announced once, and after those before it."""
        steps = [STEPS.index(one.what) for one in self.said]
        return steps == sorted(set(steps))


@attrs.frozen
class Kept:
    """The parts of a record that the verdict reads."""

    outcome: str
    duration: float
    why: str

    def end(self, seconds: float) -> End | None:
        """Return which end it is of a call of so many seconds; None if it is none."""
        ends = {
            Kept("completed", seconds, ""): End.COMPLETED,
            Kept("cut", seconds / 2, WHY_CUT): End.CUT,
            Kept("cut", 0.0, ""): End.CUT_UNNOTED,
        }
        return ends.get(self)


def judge_calls(
    stories: Iterable[Story],
    kept: Mapping[str, Sequence[Kept]],
    seconds: Mapping[str, float],
    killed: str,
    killed_at: float,
) -> list[str]:
    """Return what is wrong with the records of the calls."""
    stories, problems = list(stories), list[str]()
    for story in stories:
        records = kept.get(story.call_sid, ())
        ends = [record.end(seconds.get(story.call_sid, 0.0)) for record in records] or [End.NOTHING]
        allowed = story.acceptable(killed, killed_at)
        if len(ends) != 1 or ends[0] not in allowed:
            wanted = " or ".join(sorted(end.value for end in allowed)) or "a call that goes on to its end"
            told = f"{story.last.what} by {story.last.worker}"
            problems.append(f"{story.call_sid}: {list(records) or 'no record'} instead of {wanted} after {told}")
        if not story.steps_in_order():
            problems.append(f"{story.call_sid}: announced as {[one.what for one in story.said]}")
    problems += [f"{sid} has a record and never came" for sid in kept.keys() - {one.call_sid for one in stories}]
    return problems


@attrs.frozen
class OrderEnd:
    """What the database says of an order in the end."""

    state: str
    outcome: str
    call_sid: str


def judge_order(order: str, end: OrderEnd | None, made: Sequence[str], tries: Collection[str]) -> str:
    """Return what is wrong with an order that was taken; `made` are its calls, `tries` what Twilio did with each try.

    It is over as busy and has the one call that was made for it; or it has failed, was refused by Twilio, and has none.
    """
    match end:
        case OrderEnd("over", "busy", call_sid) if list(made) == [call_sid]:
            return ""
        case OrderEnd("over", "failed", "") if not made and "refused" in tries:
            return ""
        case _:
            return f"{order} is {end}, was called {list(made)}, and tried {list(tries)}"
