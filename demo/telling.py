"""One fact of the journal as one line that a person can follow while the call goes on.

Pure: an entry in, a `Line` or nothing out. `_LINES` has a row for each fact that is always told in the same words;
`_VARYING` has a function for each fact whose words depend on its fields. Facts that only measure (`agent_spoke`,
`reply_started`, …) are in neither and are not told.
"""

import enum
from collections.abc import Callable, Mapping

import attrs

from web.picture.facts import (
    JournalEntry,
    arguments_text,
    event,
    flag,
    left_by,
    milliseconds,
    number,
    result_text,
    text,
    worded,
)

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


def told(entry: JournalEntry) -> Line | None:
    """Tell a fact in words, or nothing if it only measures."""
    name = event(entry)
    if (tell := _VARYING.get(name)) is not None:
        return tell(entry)
    if (row := _LINES.get(name)) is None:
        return None
    who, tone, sign, words = row
    return Line(worded(who, entry), tone, worded(words, entry), sign)


_LINES: Mapping[str, tuple[str, Tone, str, str]] = {
    "actor_crashed": ("{actor}", Tone.TROUBLE, "✗", "crashed: {error}"),
    "barge_in": (
        *("caller", Tone.TROUBLE, "⚡"),
        "interrupts {agent}: {heard_seconds:.1f} s heard, {dropped_seconds:.1f} s dropped",
    ),
    "call_ended": ("line", Tone.END, "☏", "the call is over after {duration:.1f} s: {outcome}"),
    "call_parked": ("line", Tone.STEP, "☏", "the stream is over after {duration:.1f} s; a person is called"),
    "call_started": ("line", Tone.STEP, "☏", "the line is open ({direction} call)"),
    "closing_unsaid": ("line", Tone.TROUBLE, "☏", "ends the call without an agent ({outcome})"),
    "floor_taken": ("{agent}", Tone.STEP, "●", "has the floor"),
    "frame_refused": ("{where}", Tone.TROUBLE, "!", "frame refused: {why}"),
    "function_withdrawn": ("{agent}", Tone.TROUBLE, "✗", "{name} was withdrawn by the service"),
    "goodbye_started": ("{agent}", Tone.END, "◇", "says goodbye ({reason})"),
    "handoff_asked": ("{agent}", Tone.HANDOFF, "⇄", "hands over to {to}: {reason}"),
    "soft_handoff_given_up": ("{agent}", Tone.HANDOFF, "⇄", "does not become {to} on its own session: {why}"),
    "handoff_failed": ("{agent}", Tone.TROUBLE, "✗", "keeps the floor: {to} could not start ({why})"),
    "handoff_gap": ("{agent}", Tone.HANDOFF, "⇄", "first audio {gap:ms} after the handoff was asked for"),
    "handoff_withdrawn": ("{agent}", Tone.TROUBLE, "✗", "keeps the floor: the handoff to {to} was withdrawn"),
    "reply_resumed": ("{agent}", Tone.STEP, "▸", "goes on: nobody had spoken"),
    "reply_text": ("{agent}", Tone.AGENT, "", "{text}"),
    "restarts_exhausted": ("{agent}", Tone.TROUBLE, "✗", "does not start again: {error}"),
    "session_crashed": ("{agent}", Tone.TROUBLE, "✗", "crashed: {error}"),
    "session_failed": ("{agent}", Tone.TROUBLE, "✗", "could not be made ready: {error}"),
    "session_ready": ("{agent}", Tone.STEP, "…", "ready in {took:ms}"),
    "session_restarting": ("{agent}", Tone.TROUBLE, "↻", "starts again in {delay:ms}"),
    "summary_failed": ("summarizer", Tone.TROUBLE, "✗", "no Brief for {reader}: {why}"),
    "transfer_asked": ("{agent}", Tone.HANDOFF, "⇄", "puts the caller through: {reason}"),
    "transfer_failed": ("{agent}", Tone.TROUBLE, "✗", "keeps the caller: {why}"),
    "turn_cut_off": ("caller", Tone.STEP, "✂", "is cut off after “{text}”, and will be heard again"),
    "turn_heard": ("caller", Tone.CALLER, "", "{text}"),
    "unrecognised": ("{where}", Tone.STEP, "?", "passed over an unknown message: {what}"),
    "warning_reported": ("{agent}", Tone.TROUBLE, "!", "{code}: {description}"),
}


def _connecting(entry: JournalEntry) -> Line:
    again = f" again, session {number(entry, 'incarnation'):.0f}" if text(entry, "why") == "restart" else ""
    return Line(text(entry, "agent"), Tone.STEP, f"connecting{again}", "…")


def _reply_ended(entry: JournalEntry) -> Line | None:
    if flag(entry, "complete"):
        return None
    heard = text(entry, "heard").split()
    ending = " ".join(heard[-WORDS_BEFORE_THE_CUT:])
    words = f"was heard up to “…{ending}”" if heard else "was not heard at all"
    return Line(text(entry, "agent"), Tone.STEP, words, "✂")


def _silence_met(entry: JournalEntry) -> Line:
    filled = {"agent": "asks for a moment", "clip": "a clip asks for a moment"}
    how = filled.get(text(entry, "filled_by"), "there is no clip to play")
    return Line(text(entry, "agent"), Tone.STEP, f"the caller has waited {number(entry, 'seconds'):.1f} s: {how}", "⧗")


def _function_called(entry: JournalEntry) -> Line:
    call = f"{text(entry, 'name')}({arguments_text(entry.get('arguments'))})"
    return Line(text(entry, "agent"), Tone.FUNCTION, call, "ƒ")


def _function_answered(entry: JournalEntry) -> Line:
    result = f"{text(entry, 'name')}: {result_text(entry.get('result'))}, {milliseconds(number(entry, 'took'))}"
    if flag(entry, "ok"):
        return Line(text(entry, "agent"), Tone.FUNCTION, result, "✓")
    return Line(text(entry, "agent"), Tone.TROUBLE, result, "✗")


def _brief_ready(entry: JournalEntry) -> Line:
    why = f" ({text(entry, 'why')})" if text(entry, "why") else ""
    words = f"Brief for {text(entry, 'reader')} from {text(entry, 'source')} in {milliseconds(number(entry, 'took'))}"
    return Line("summarizer", Tone.HANDOFF, words + why, "✎")


def _handoff_committed(entry: JournalEntry) -> Line:
    softly = " softly" if text(entry, "how") == "soft" else ""
    words = f"takes over{softly} from {text(entry, 'agent')} after {milliseconds(number(entry, 'took'))}"
    return Line(text(entry, "to"), Tone.HANDOFF, words, "⇄")


def _goodbye_heard(entry: JournalEntry) -> Line:
    words = "the goodbye was heard to its last word" if flag(entry, "complete") else "the goodbye was heard in part"
    return Line(text(entry, "agent"), Tone.END, words, "◆")


def _caller_silent(entry: JournalEntry) -> Line:
    count = round(number(entry, "asked"))
    nth = {1: "first", 2: "second", 3: "third"}.get(count, f"{count}th")
    words = f"the caller has said nothing for {number(entry, 'seconds'):.0f} s: asks for the {nth} time"
    return Line(text(entry, "agent"), Tone.STEP, words, "⧗")


def _machine_detected(entry: JournalEntry) -> Line:
    left = "" if flag(entry, "believed") else ", and the call goes on"
    return Line("line", Tone.STEP, f"Twilio says who has answered: {text(entry, 'verdict')}{left}", "☏")


def _call_resumed(entry: JournalEntry) -> Line:
    unreached = text(entry, "unreached")
    why = f"nobody took the call ({unreached})" if unreached else "the last one was lost"
    return Line("line", Tone.HANDOFF, f"a new stream: {why}", "☏")


def person_acted(did: str) -> Line:
    """Tell what the person at the other end of a transfer does; the journal knows nothing of it."""
    return Line("person", Tone.STEP, did, "☏")


def whispered(words: str) -> Line:
    """Tell what the person hears before they take the call."""
    return Line("person", Tone.AGENT, f"[hears] {words}")


_VARYING: Mapping[str, Callable[[JournalEntry], Line | None]] = {
    "brief_ready": _brief_ready,
    "call_resumed": _call_resumed,
    "caller_hung_up": lambda entry: Line("caller", Tone.END, left_by(entry), "☏"),
    "caller_silent": _caller_silent,
    "digit_pressed": lambda entry: Line("caller", Tone.CALLER, f"[presses {text(entry, 'digit') or 'a key'}]"),
    "function_answered": _function_answered,
    "function_called": _function_called,
    "goodbye_heard": _goodbye_heard,
    "handoff_committed": _handoff_committed,
    "machine_detected": _machine_detected,
    "reply_ended": _reply_ended,
    "session_connecting": _connecting,
    "silence_met": _silence_met,
}
