"""A played call as lines of text, and the errors that show it: what was expected, the transcript, and the place.

It reads the journal and judges nothing. A line is marked where an expectation failed.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from actors import facts
from actors.journal import Entry

CALLER: Final = "caller"


@attrs.frozen
class TranscriptLine:
    """One thing that was said or happened, so many seconds into the call; `turn` counts the caller's turns so far."""

    at: float
    who: str
    text: str
    turn: int

    def __str__(self) -> str:
        """Write it as a line of a transcript."""
        number = f"#{self.turn}" if self.who == CALLER else ""
        return f"{self.at:8.2f} s {number:>4} {self.who:<12} {self.text}"


@attrs.frozen
class Transcript:
    """The words and acts of a call, in order."""

    lines: tuple[TranscriptLine, ...]

    def __str__(self) -> str:
        """Write it, one line each."""
        return self.text()

    def text(self, place: float | None = None) -> str:
        """Write it, one line each; `place` is the second to which an arrow points."""
        marked = None
        if place is not None:
            marked = max((number for number, line in enumerate(self.lines) if line.at <= place + 1e-6), default=0)
        return "\n".join(f"{'>>' if number == marked else '  '}{line}" for number, line in enumerate(self.lines))


class ExpectationFailed(AssertionError):
    """A call was not as a test expects; the message has the transcript, with an arrow at the place."""

    def __init__(self, sentence: str, transcript: Transcript, place: float | None = None) -> None:
        """Write what was expected, and what happened."""
        self.sentence = sentence
        super().__init__(f"{sentence}\n\n{transcript.text(place)}")


class PromiseBroken(AssertionError):
    """A call has broken promises that every call must keep; `broken` is a sentence for each."""

    def __init__(self, broken: Sequence[str], transcript: Transcript, advice: str = "") -> None:
        """Write every sentence, the advice, and the transcript."""
        self.broken = tuple(broken)
        sentences = "\n".join([*(f"- {sentence}" for sentence in broken), *filter(None, [advice])])
        super().__init__(f"the call broke {len(broken)} promise(s):\n{sentences}\n\n{transcript}")


def transcript_of(entries: Sequence[Entry]) -> Transcript:
    """Read a journal."""
    spoken = {
        (entry.fact.agent, entry.fact.generation): entry.fact.start
        for entry in reversed(entries)
        if isinstance(entry.fact, facts.AgentSpoke)
    }
    lines, turn = list[TranscriptLine](), 0
    for entry in entries:
        turn += isinstance(entry.fact, facts.TurnHeard)
        at = entry.at
        if isinstance(entry.fact, facts.ReplyEnded):
            at = spoken.get((entry.fact.agent, entry.fact.generation), at)
        lines += [TranscriptLine(at, who, text, turn) for who, text in _told(entry.fact)]
    return Transcript(tuple(sorted(lines, key=lambda line: line.at)))


def _told(fact: facts.Fact) -> Iterator[tuple[str, str]]:
    match fact:
        case facts.TurnHeard(text=text):
            yield CALLER, text
        case facts.ReplyEnded(agent=agent, text=text, heard=heard) if text or heard:
            yield agent, text if heard == text else f"{text}  [heard: {heard!r}]"
        case facts.DigitPressed():
            yield CALLER, "[presses a key]"
        case facts.CallerHungUp(how=how):
            yield CALLER, f"[leaves the line: {how}]"
        case facts.CallEnded(outcome=outcome):
            yield "call", f"[over: {outcome}]"
        case facts.CallParked():
            yield "call", "[put through to a person: over for this stream]"
        case _:
            yield from _done(fact)


def _done(fact: facts.Fact) -> Iterator[tuple[str, str]]:
    match fact:
        case facts.FunctionCalled(agent=agent, name=name, arguments=arguments):
            yield agent, f"[calls {name} {arguments}]"
        case facts.FunctionAnswered(agent=agent, name=name, result=result, ok=ok):
            yield agent, f"[{name} {'answers' if ok else 'fails'}: {result}]"
        case facts.FunctionWithdrawn(agent=agent, name=name):
            yield agent, f"[{name} is cancelled: the caller speaks on]"
        case facts.SessionCrashed(agent=agent, error=error):
            yield agent, f"[session lost: {error}]"
        case facts.SessionRestarting(agent=agent):
            yield agent, "[restarts]"
        case _:
            yield from _handed_on(fact)


def _handed_on(fact: facts.Fact) -> Iterator[tuple[str, str]]:
    match fact:
        case facts.HandoffCommitted(agent=agent, to=to, took=took, how=how):
            way = "" if how == "hard" else f" ({how})"
            yield agent, f"[hands the call to {to}{way}, {took:.1f} s after asking for it]"
        case facts.SoftHandoffGivenUp(to=to, why=why, agent=agent):
            yield agent, f"[does not become {to} on its session: {why}]"
        case facts.HandoffFailed(agent=agent, to=to, why=why):
            yield agent, f"[cannot hand the call to {to}: {why}]"
        case _:
            pass
