"""One fact of the journal as one line that a person can follow while the call goes on.

Pure: a fact in, a `Line` or nothing out. `_LINES` has a row for each fact that is always told in the same words;
`_VARYING` has a function for each fact whose words depend on its fields. Facts that only measure (`AgentSpoke`,
`ReplyStarted`, …) are in neither and are not told.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from actors import facts
from web.picture.words import arguments_text, left_by, milliseconds, result_text

WORDS_BEFORE_THE_CUT = 5


class Tone(enum.Enum):
    """The kind of a line, for its sign and colour."""

    CALLER = "caller"
    AGENT = "agent"
    STEP = "step"
    FUNCTION = "function"
    HANDOFF = "handoff"
    TROUBLE = "trouble"
    END = "end"


@attrs.frozen
class Line:
    """One line of the live view: its subject, its tone and its words."""

    who: str
    tone: Tone
    words: str
    sign: str = ""


def told(fact: facts.Fact) -> Line | None:
    """Tell a fact in words, or nothing if it only measures."""
    if (tell := _VARYING.get(type(fact))) is not None:
        return tell(fact)
    if (row := _LINES.get(type(fact))) is None:
        return None
    who, tone, sign, words = row
    fields = {name: value * 1000 if name in _SHORT else value for name, value in attrs.asdict(fact).items()}
    return Line(who.format(**fields), tone, words.format(**fields), sign)


_SHORT = frozenset({"gap", "took", "delay"})
"""Fields that are told in milliseconds."""
_LINES: Mapping[type[facts.Fact], tuple[str, Tone, str, str]] = {
    facts.ActorCrashed: ("{actor}", Tone.TROUBLE, "✗", "crashed: {error}"),
    facts.WritingRefused: ("scribe", Tone.TROUBLE, "!", "the disk refuses journal and recording: {why}"),
    facts.BargeIn: (
        *("caller", Tone.TROUBLE, "⚡"),
        "interrupts {agent}: {heard_seconds:.1f} s heard, {dropped_seconds:.1f} s dropped",
    ),
    facts.CallEnded: ("line", Tone.END, "☏", "the call is over after {duration:.1f} s: {outcome}"),
    facts.CallParked: ("line", Tone.STEP, "☏", "the stream is over after {duration:.1f} s; a person is called"),
    facts.CallStarted: ("line", Tone.STEP, "☏", "the line is open ({direction} call)"),
    facts.ClosingUnsaid: ("line", Tone.TROUBLE, "☏", "ends the call without an agent ({outcome})"),
    facts.FloorTaken: ("{agent}", Tone.STEP, "●", "has the floor"),
    facts.FrameRefused: ("{where}", Tone.TROUBLE, "!", "frame refused: {why}"),
    facts.FunctionWithdrawn: ("{agent}", Tone.TROUBLE, "✗", "{name} was withdrawn by the service"),
    facts.GoodbyeStarted: ("{agent}", Tone.END, "◇", "says goodbye ({reason})"),
    facts.HandoffAsked: ("{agent}", Tone.HANDOFF, "⇄", "hands over to {to}: {reason}"),
    facts.SoftHandoffGivenUp: ("{agent}", Tone.HANDOFF, "⇄", "does not become {to} on its own session: {why}"),
    facts.HandoffFailed: ("{agent}", Tone.TROUBLE, "✗", "keeps the floor: {to} could not start ({why})"),
    facts.HandoffGap: ("{agent}", Tone.HANDOFF, "⇄", "first audio {gap:.0f} ms after the handoff was asked for"),
    facts.HandoffWithdrawn: ("{agent}", Tone.TROUBLE, "✗", "keeps the floor: the handoff to {to} was withdrawn"),
    facts.ReplyResumed: ("{agent}", Tone.STEP, "▸", "goes on: nobody had spoken"),
    facts.ReplyText: ("{agent}", Tone.AGENT, "", "{text}"),
    facts.RestartsExhausted: ("{agent}", Tone.TROUBLE, "✗", "does not start again: {error}"),
    facts.SessionCrashed: ("{agent}", Tone.TROUBLE, "✗", "crashed: {error}"),
    facts.SessionFailed: ("{agent}", Tone.TROUBLE, "✗", "could not be made ready: {error}"),
    facts.SessionReady: ("{agent}", Tone.STEP, "…", "ready in {took:.0f} ms"),
    facts.SessionRestarting: ("{agent}", Tone.TROUBLE, "↻", "starts again in {delay:.0f} ms"),
    facts.SummaryFailed: ("summarizer", Tone.TROUBLE, "✗", "no Brief for {reader}: {why}"),
    facts.TransferAsked: ("{agent}", Tone.HANDOFF, "⇄", "puts the caller through: {reason}"),
    facts.TransferFailed: ("{agent}", Tone.TROUBLE, "✗", "keeps the caller: {why}"),
    facts.TurnCutOff: ("caller", Tone.STEP, "✂", "is cut off after “{text}”, and will be heard again"),
    facts.TurnHeard: ("caller", Tone.CALLER, "", "{text}"),
    facts.Unrecognised: ("{where}", Tone.STEP, "?", "passed over an unknown message: {what}"),
    facts.WarningReported: ("{agent}", Tone.TROUBLE, "!", "{code}: {description}"),
}


def _connecting(fact: facts.SessionConnecting) -> Line:
    again = f" again, session {fact.incarnation}" if fact.why == "restart" else ""
    return Line(fact.agent, Tone.STEP, f"connecting{again}", "…")


def _reply_ended(fact: facts.ReplyEnded) -> Line | None:
    if fact.complete:
        return None
    heard = fact.heard.split()
    ending = " ".join(heard[-WORDS_BEFORE_THE_CUT:])
    words = f"was heard up to “…{ending}”" if heard else "was not heard at all"
    return Line(fact.agent, Tone.STEP, words, "✂")


def _silence_met(fact: facts.SilenceMet) -> Line:
    filled = {"agent": "asks for a moment", "clip": "a clip asks for a moment"}
    how = filled.get(fact.filled_by, "there is no clip to play")
    return Line(fact.agent, Tone.STEP, f"the caller has waited {fact.seconds:.1f} s: {how}", "⧗")


def _function_answered(fact: facts.FunctionAnswered) -> Line:
    result = f"{fact.name}: {result_text(fact.result)}, {milliseconds(fact.took)}"
    return Line(fact.agent, Tone.FUNCTION if fact.ok else Tone.TROUBLE, result, "✓" if fact.ok else "✗")


def _brief_ready(fact: facts.BriefReady) -> Line:
    why = f" ({fact.why})" if fact.why else ""
    words = f"Brief for {fact.reader} from {fact.source} in {milliseconds(fact.took)}"
    return Line("summarizer", Tone.HANDOFF, words + why, "✎")


def _handoff_committed(fact: facts.HandoffCommitted) -> Line:
    softly = " softly" if fact.how == "soft" else ""
    words = f"takes over{softly} from {fact.agent} after {milliseconds(fact.took)}"
    return Line(fact.to, Tone.HANDOFF, words, "⇄")


def _goodbye_heard(fact: facts.GoodbyeHeard) -> Line:
    words = "the goodbye was heard to its last word" if fact.complete else "the goodbye was heard in part"
    return Line(fact.agent, Tone.END, words, "◆")


def _caller_silent(fact: facts.CallerSilent) -> Line:
    nth = {1: "first", 2: "second", 3: "third"}.get(fact.asked, f"{fact.asked}th")
    words = f"the caller has said nothing for {fact.seconds:.0f} s: asks for the {nth} time"
    return Line(fact.agent, Tone.STEP, words, "⧗")


def _machine_detected(fact: facts.MachineDetected) -> Line:
    left = "" if fact.believed else ", and the call goes on"
    return Line("line", Tone.STEP, f"Twilio's verdict on the answer: {fact.verdict}{left}", "☏")


def _call_resumed(fact: facts.CallResumed) -> Line:
    why = f"nobody took the call ({fact.unreached})" if fact.unreached else "the last one was lost"
    return Line("line", Tone.HANDOFF, f"a new stream: {why}", "☏")


def person_acted(did: str) -> Line:
    """Tell what the person at the other end of a transfer does; the journal knows nothing of it."""
    return Line("person", Tone.STEP, did, "☏")


def whispered(words: str) -> Line:
    """Tell what the person hears before they take the call."""
    return Line("person", Tone.AGENT, f"[hears] {words}")


_VARYING: Mapping[type[facts.Fact], Callable[[Any], Line | None]] = {
    facts.BriefReady: _brief_ready,
    facts.CallResumed: _call_resumed,
    facts.CallerHungUp: lambda fact: Line("caller", Tone.END, left_by(fact.how), "☏"),
    facts.CallerSilent: _caller_silent,
    facts.DigitPressed: lambda fact: Line("caller", Tone.CALLER, f"[presses {fact.digit or 'a key'}]"),
    facts.FunctionAnswered: _function_answered,
    facts.FunctionCalled: lambda fact: Line(
        fact.agent, Tone.FUNCTION, f"{fact.name}({arguments_text(fact.arguments)})", "ƒ"
    ),
    facts.GoodbyeHeard: _goodbye_heard,
    facts.HandoffCommitted: _handoff_committed,
    facts.MachineDetected: _machine_detected,
    facts.ReplyEnded: _reply_ended,
    facts.SessionConnecting: _connecting,
    facts.SilenceMet: _silence_met,
}
