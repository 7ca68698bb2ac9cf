"""A journal as the server writes one: ninety seconds, three agents, a barge-in and a restart."""

from collections.abc import Iterable, Mapping

import attrs
import orjson

from actors.journal import Entry, read_entries
from store.json_text import json_text

WORD_SECONDS = 0.42
FRAMES = {"caller_in": 4065, "caller_sent": 4065, "unheard": 0, "agent_in": 2310, "agent_sent": 2175, "dropped": 135}


def read(written: Iterable[Mapping[str, object]]) -> list[Entry]:
    """Read a journal back that was written as these lines."""
    return read_entries(b"".join(json_text(dict(line)) for line in written))


@attrs.define
class JournalWriter:
    """Writes entries in the order of a call, with a clock that speech moves on."""

    now: float = 0.0
    entries: list[dict[str, object]] = attrs.Factory(list)
    replies: int = 0

    def note(self, event: str, *, after: float = 0.0, **fields: object) -> None:
        self.now = round(self.now + after, 3)
        self.entries.append({"seq": len(self.entries), "at": self.now, "event": event, **fields})

    def starts(self, agent: str, *, incarnation: int = 1, why: str = "first", took: float = 0.17) -> None:
        self.note("session_connecting", agent=agent, incarnation=incarnation, why=why)
        request = f"req-{agent}-{incarnation}"
        self.note("session_ready", after=took, agent=agent, incarnation=incarnation, request_id=request, took=took)

    def says(self, agent: str, text: str, *, after: float = 0.7, heard: str | None = None) -> None:
        """Speak a whole reply, or only the words `heard` when the caller cut it."""
        self.replies += 1
        spoken = text if heard is None else heard
        self.note("reply_started", after=after, agent=agent, generation=self.replies)
        self.note("reply_text", agent=agent, generation=self.replies, text=text)
        start = self.now
        self.now = round(self.now + WORD_SECONDS * len(spoken.split()), 3)
        self.note("agent_spoke", agent=agent, generation=self.replies, start=start, end=self.now)
        self.note("reply_ended", agent=agent, generation=self.replies, text=text, heard=spoken, complete=heard is None)

    def hears(self, agent: str, text: str, *, after: float = 0.6) -> None:
        self.note("user_started_speaking", after=after, agent=agent)
        start = self.now
        self.now = round(self.now + WORD_SECONDS * len(text.split()), 3)
        self.note("caller_spoke", start=start, end=self.now)
        self.note("turn_heard", after=0.3, agent=agent, text=text)

    def calls(self, agent: str, name: str, result: str | None, **arguments: object) -> None:
        """Call a function; without a result it stays unanswered, as a handoff does."""
        written = orjson.dumps(arguments).decode()
        identity = f"call-{len(self.entries)}"
        self.note("function_called", after=0.45, agent=agent, id=identity, name=name, arguments=written)
        if result is not None:
            self.note(
                "function_answered", after=0.02, agent=agent, id=identity, name=name, result=result, ok=True, took=0.02
            )

    def hands_over(self, agent: str, to: str, reason: str, *, incarnation: int = 1, source: str = "groq") -> None:
        asked = self.now
        offset = int(self.now * 50)
        self.note("handoff_asked", agent=agent, to=to, reason=reason, notes="", offset=offset)
        self.note("summary_started", reader=to)
        self.note("session_connecting", agent=to, incarnation=1, why="handoff")
        self.note("brief_ready", after=0.31, reader=to, source=source, took=0.31, why="")
        self.note("session_ready", after=0.09, agent=to, incarnation=1, request_id=f"req-{to}-1", took=0.4)
        self.note("handoff_committed", agent=agent, to=to, took=round(self.now - asked, 3))
        self.note("floor_left", agent=agent, incarnation=incarnation, reason="handoff")
        self.note("floor_taken", agent=to, incarnation=1, offset=offset)
        self.note("handoff_gap", after=0.12, agent=to, gap=round(self.now + 0.12 - asked, 3))


def sample_journal() -> list[dict[str, object]]:
    """Write the journal of one whole sale."""
    call = JournalWriter()
    _qualify(call)
    _advise(call)
    _close(call)
    return call.entries


def _qualify(call: JournalWriter) -> None:
    call.note("call_started", call_sid="CA" + "5" * 32, stream_sid="MZ" + "7" * 32, direction="outbound")
    call.starts("qualifier")
    call.note("floor_taken", agent="qualifier", incarnation=1, offset=0)
    call.says("qualifier", "Hi, this is Alex from Acme Financial. Is now a good time to talk?", after=0.25)
    call.hears("qualifier", "Sure, I have a few minutes.")
    call.says("qualifier", "Great, thank you. May I have your name?")
    call.hears("qualifier", "John Smith.")
    call.says(
        "qualifier",
        "Nice to meet you, John. Whereabouts in the country are you calling from these days?",
        heard="Nice to meet you, John. Whereabouts in",
    )
    call.note("barge_in", agent="qualifier", generation=call.replies, heard_seconds=2.38, dropped_seconds=2.7)
    call.hears("qualifier", "I live in Seattle.", after=0.0)
    call.says("qualifier", "Seattle, lovely. What would you like help with?")
    call.hears("qualifier", "I want to start planning for retirement.")
    call.says("qualifier", "I can connect you with an advisor right now. Would you like that?")
    call.hears("qualifier", "Yes please.")
    call.calls("qualifier", "handoff_to_next_agent", None, reason="agreed to speak with an advisor")
    call.hands_over("qualifier", "advisor", "agreed to speak with an advisor")


def _advise(call: JournalWriter) -> None:
    call.says("advisor", "Hello John, thanks for waiting. You would like to plan your retirement?", after=0.0)
    call.hears("advisor", "Yes, I am forty five and I want to retire by sixty.")
    call.note("session_crashed", after=0.2, agent="advisor", incarnation=1, error="connection lost", retryable=True)
    call.note("session_restarting", agent="advisor", incarnation=2, delay=0.06)
    call.now = round(call.now + 0.06, 3)
    call.starts("advisor", incarnation=2, why="restart")
    call.note("floor_taken", agent="advisor", incarnation=2, offset=2100)
    call.says("advisor", "Fifteen years is a comfortable horizon. I recommend a formal consultation. Shall we book it?")
    call.hears("advisor", "Yes, that sounds good.")
    call.calls("advisor", "handoff_to_next_agent", None, reason="wants a consultation", notes="retire by 60")
    call.hands_over("advisor", "closer", "wants a consultation", incarnation=2, source="extract")


def _close(call: JournalWriter) -> None:
    call.says("closer", "Thanks for talking to our advisor. Would Tuesday or Wednesday afternoon suit you?", after=0)
    call.hears("closer", "Next Wednesday afternoon.")
    call.calls("closer", "schedule_followup", '{"status":"scheduled"}', preferred_timeframe="next Wednesday afternoon")
    call.says("closer", "Wednesday afternoon it is. How would you rate this call, from one to five?", after=0.4)
    call.hears("closer", "Five.")
    call.calls("closer", "record_satisfaction", '{"status":"recorded"}', rating=5)
    call.calls("closer", "end_conversation", '{"status":"ending"}', reason="task_complete")
    call.note("goodbye_started", agent="closer", reason="task_complete")
    call.says("closer", "Thank you so much, John. It was a pleasure. Goodbye!", after=0.4)
    call.note("goodbye_heard", agent="closer", complete=True)
    call.note("floor_left", agent="closer", incarnation=1, reason="goodbye")
    call.note("caller_hung_up", after=0.15, how="stop")
    call.note("call_ended", after=0.05, outcome="completed", duration=round(call.now + 0.05, 3), frames=FRAMES)
