"""One fact of the journal as one line that a person can follow while the call goes on.

Pure: an entry in, a `Line` or nothing out. Facts that only measure (`agent_spoke`, `reply_started`, …) are not told.
"""

import enum
from collections.abc import Callable, Mapping

import attrs

from demo.facts import JournalEntry, arguments_text, event, flag, number, result_text, text

WORDS_BEFORE_THE_CUT = 5


class Tone(enum.Enum):
    """What kind of line it is, for its sign and colour."""

    CALLER = "caller"
    AGENT = "agent"
    STEP = "step"
    FUNCTION = "function"
    HANDOFF = "handoff"
    TROUBLE = "trouble"
    END = "end"


@attrs.frozen
class Line:
    """Who it is about, and what to say."""

    who: str
    tone: Tone
    words: str
    sign: str = ""


def told(entry: JournalEntry) -> Line | None:
    """Tell a fact in words, or nothing if it only measures."""
    tell = _TELLERS.get(event(entry))
    return None if tell is None else tell(entry)


def milliseconds(seconds: float) -> str:
    """Write a duration the way the summary does."""
    return f"{seconds * 1000:.0f} ms"


def _call_started(entry: JournalEntry) -> Line:
    return Line("line", Tone.STEP, f"the line is open ({text(entry, 'direction')} call)", "☏")


def _connecting(entry: JournalEntry) -> Line:
    agent, why = text(entry, "agent"), text(entry, "why")
    again = f" again, session {number(entry, 'incarnation'):.0f}" if why == "restart" else ""
    return Line(agent, Tone.STEP, f"connecting{again}", "…")


def _ready(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.STEP, f"ready in {milliseconds(number(entry, 'took'))}", "…")


def _session_failed(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"could not be made ready: {text(entry, 'error')}", "✗")


def _floor_taken(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.STEP, "has the floor", "●")


def _turn_heard(entry: JournalEntry) -> Line:
    return Line("caller", Tone.CALLER, text(entry, "text"))


def _turn_cut_off(entry: JournalEntry) -> Line:
    return Line("caller", Tone.STEP, f"is cut off after “{text(entry, 'text')}”, and will be heard again", "✂")


def _reply_text(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.AGENT, text(entry, "text"))


def _reply_ended(entry: JournalEntry) -> Line | None:
    if flag(entry, "complete"):
        return None
    heard = text(entry, "heard").split()
    ending = " ".join(heard[-WORDS_BEFORE_THE_CUT:])
    words = f"was heard up to “…{ending}”" if heard else "was not heard at all"
    return Line(text(entry, "agent"), Tone.STEP, words, "✂")


def _barge_in(entry: JournalEntry) -> Line:
    heard, dropped = number(entry, "heard_seconds"), number(entry, "dropped_seconds")
    words = f"interrupts {text(entry, 'agent')}: {heard:.1f} s heard, {dropped:.1f} s dropped"
    return Line("caller", Tone.TROUBLE, words, "⚡")


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


def _function_withdrawn(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"{text(entry, 'name')} was withdrawn by the service", "✗")


def _brief_ready(entry: JournalEntry) -> Line:
    why = f" ({text(entry, 'why')})" if text(entry, "why") else ""
    words = f"Brief for {text(entry, 'reader')} from {text(entry, 'source')} in {milliseconds(number(entry, 'took'))}"
    return Line("summarizer", Tone.HANDOFF, words + why, "✎")


def _summary_failed(entry: JournalEntry) -> Line:
    words = f"no Brief for {text(entry, 'reader')}: {text(entry, 'why')}"
    return Line("summarizer", Tone.TROUBLE, words, "✗")


def _handoff_asked(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.HANDOFF, f"hands over to {text(entry, 'to')}: {text(entry, 'reason')}", "⇄")


def _handoff_committed(entry: JournalEntry) -> Line:
    took = milliseconds(number(entry, "took"))
    return Line(text(entry, "to"), Tone.HANDOFF, f"takes over from {text(entry, 'agent')} after {took}", "⇄")


def _handoff_gap(entry: JournalEntry) -> Line:
    gap = milliseconds(number(entry, "gap"))
    return Line(text(entry, "agent"), Tone.HANDOFF, f"first audio {gap} after the handoff was asked for", "⇄")


def _handoff_failed(entry: JournalEntry) -> Line:
    words = f"keeps the floor: {text(entry, 'to')} could not start ({text(entry, 'why')})"
    return Line(text(entry, "agent"), Tone.TROUBLE, words, "✗")


def _handoff_withdrawn(entry: JournalEntry) -> Line:
    words = f"keeps the floor: the handoff to {text(entry, 'to')} was withdrawn"
    return Line(text(entry, "agent"), Tone.TROUBLE, words, "✗")


def _session_crashed(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"crashed: {text(entry, 'error')}", "✗")


def _session_restarting(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"starts again in {milliseconds(number(entry, 'delay'))}", "↻")


def _restarts_exhausted(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"does not start again: {text(entry, 'error')}", "✗")


def _goodbye_started(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.END, f"says goodbye ({text(entry, 'reason')})", "◇")


def _goodbye_heard(entry: JournalEntry) -> Line:
    words = "the goodbye was heard to its last word" if flag(entry, "complete") else "the goodbye was heard in part"
    return Line(text(entry, "agent"), Tone.END, words, "◆")


def _digit_pressed(entry: JournalEntry) -> Line:
    return Line("caller", Tone.CALLER, f"[presses {text(entry, 'digit') or 'a key'}]")


def _caller_silent(entry: JournalEntry) -> Line:
    words = f"the caller has said nothing for {number(entry, 'seconds'):.0f} s: asks for the {_nth(entry)} time"
    return Line(text(entry, "agent"), Tone.STEP, words, "⧗")


def _nth(entry: JournalEntry) -> str:
    count = round(number(entry, "asked"))
    return {1: "first", 2: "second", 3: "third"}.get(count, f"{count}th")


def _machine_detected(entry: JournalEntry) -> Line:
    left = "" if flag(entry, "believed") else ", and the call goes on"
    return Line("line", Tone.STEP, f"Twilio says who has answered: {text(entry, 'verdict')}{left}", "☏")


def _closing_unsaid(entry: JournalEntry) -> Line:
    return Line("line", Tone.TROUBLE, f"ends the call without an agent ({text(entry, 'outcome')})", "☏")


def _caller_hung_up(entry: JournalEntry) -> Line:
    return Line("caller", Tone.END, f"hung up ({text(entry, 'how')})", "☏")


def _warning_reported(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"{text(entry, 'code')}: {text(entry, 'description')}", "!")


def _frame_refused(entry: JournalEntry) -> Line:
    return Line(text(entry, "where"), Tone.TROUBLE, f"frame refused: {text(entry, 'why')}", "!")


def _unrecognised(entry: JournalEntry) -> Line:
    return Line(text(entry, "where"), Tone.STEP, f"passed over an unknown message: {text(entry, 'what')}", "?")


def _actor_crashed(entry: JournalEntry) -> Line:
    return Line(text(entry, "actor"), Tone.TROUBLE, f"crashed: {text(entry, 'error')}", "✗")


def _transfer_asked(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.HANDOFF, f"puts the caller through: {text(entry, 'reason')}", "⇄")


def _transfer_failed(entry: JournalEntry) -> Line:
    return Line(text(entry, "agent"), Tone.TROUBLE, f"keeps the caller: {text(entry, 'why')}", "✗")


def _call_parked(entry: JournalEntry) -> Line:
    return Line(
        "line", Tone.STEP, f"the stream is over after {number(entry, 'duration'):.1f} s; a person is called", "☏"
    )


def _call_resumed(entry: JournalEntry) -> Line:
    unreached = text(entry, "unreached")
    why = f"nobody took the call ({unreached})" if unreached else "the last one was lost"
    return Line("line", Tone.HANDOFF, f"a new stream: {why}", "☏")


def person_acted(did: str) -> Line:
    """Tell what a person does to whom the call is put through; the journal knows nothing of it."""
    return Line("person", Tone.STEP, did, "☏")


def whispered(words: str) -> Line:
    """Tell what the person hears before they take the call."""
    return Line("person", Tone.AGENT, f"[hears] {words}")


def _call_ended(entry: JournalEntry) -> Line:
    words = f"the call is over after {number(entry, 'duration'):.1f} s: {text(entry, 'outcome')}"
    return Line("line", Tone.END, words, "☏")


_TELLERS: Mapping[str, Callable[[JournalEntry], Line | None]] = {
    "call_started": _call_started,
    "session_connecting": _connecting,
    "session_ready": _ready,
    "session_failed": _session_failed,
    "floor_taken": _floor_taken,
    "turn_heard": _turn_heard,
    "turn_cut_off": _turn_cut_off,
    "reply_text": _reply_text,
    "reply_ended": _reply_ended,
    "barge_in": _barge_in,
    "silence_met": _silence_met,
    "function_called": _function_called,
    "function_answered": _function_answered,
    "function_withdrawn": _function_withdrawn,
    "brief_ready": _brief_ready,
    "summary_failed": _summary_failed,
    "handoff_asked": _handoff_asked,
    "handoff_committed": _handoff_committed,
    "handoff_gap": _handoff_gap,
    "handoff_failed": _handoff_failed,
    "handoff_withdrawn": _handoff_withdrawn,
    "session_crashed": _session_crashed,
    "session_restarting": _session_restarting,
    "restarts_exhausted": _restarts_exhausted,
    "goodbye_started": _goodbye_started,
    "goodbye_heard": _goodbye_heard,
    "digit_pressed": _digit_pressed,
    "caller_silent": _caller_silent,
    "machine_detected": _machine_detected,
    "closing_unsaid": _closing_unsaid,
    "caller_hung_up": _caller_hung_up,
    "warning_reported": _warning_reported,
    "frame_refused": _frame_refused,
    "unrecognised": _unrecognised,
    "actor_crashed": _actor_crashed,
    "transfer_asked": _transfer_asked,
    "transfer_failed": _transfer_failed,
    "call_parked": _call_parked,
    "call_resumed": _call_resumed,
    "call_ended": _call_ended,
}
