"""Resumes a call on a second stream, from its own record so far.

A call gets one when it comes back from a person who could not be reached, or after its stream was lost by a fault of
ours. `Resumption` reads the record as the agents must be told it; any worker can, and after a restart of the process
too. It raises nothing and owns nothing.
"""

from datetime import UTC, datetime

import attrs

from actors.commands import Command
from actors.line.ledger import SWITCHBOARD
from actors.record.conversation import CallerTurn, Conversation, Heard, Past
from agents.brief import BRIEF_NAMES, Brief, local_extract
from agents.quoting import CALLER, SpokenTurn
from protocol.deepgram import CompletedCall
from protocol.fields import text_or_json
from store.records import OPERATOR, CallRecord, FunctionRecord

_LONGEST = 86_400.0
_UNREACHED = "Nobody could be reached ({why}). The customer is with you again, and has been told so."


@attrs.frozen
class Resumption:
    """A call as it was. `unreached` says how the person did not answer, in Twilio's words; empty for a lost stream.

    `is_given_back`: an operator had taken it over, and has had it; by `give_back` if a command has ended that.
    """

    record: CallRecord
    unreached: str = ""
    is_given_back: bool = False
    give_back: Command | None = None
    context: Brief = attrs.field(factory=Brief)
    """What its order has told of the person."""

    @property
    def agent(self) -> str:
        """The agent that had the floor; empty if none ever did."""
        return next((one.agent for one in reversed(self.record.agents) if one.agent != OPERATOR), "")

    @property
    def elapsed(self) -> float:
        """Seconds since the call started: what happens now comes after all that is in the record."""
        try:
            started = datetime.fromisoformat(self.record.started_at)
            passed = (datetime.now(UTC) - started).total_seconds()
        except (ValueError, TypeError):
            passed = 0.0
        return max(self.record.duration, min(passed, _LONGEST))

    @property
    def since(self) -> int:
        """How much had been said when the agent took the floor."""
        return sum(at < self._took_floor for at, _ in self._said())

    @property
    def handed_on_by(self) -> tuple[tuple[str, int], ...]:
        """The agents that may get the call back, the last one last, each with how much had been said when it began."""
        waiting = list[tuple[str, int]]()
        for handoff in self.record.handoffs:
            if handoff.how == "back":
                waiting = waiting[:-1]
            elif handoff.how:
                periods = (one.started for one in self.record.agents if one.agent == handoff.from_agent)
                began = max((start for start in periods if start <= handoff.asked_at), default=0.0)
                waiting.append((handoff.from_agent, sum(at < began for at, _ in self._said())))
        return tuple(waiting)

    @property
    def brief(self) -> Brief:
        """The Brief of that agent, or an extract of the words before it."""
        record, taken = self.record, self._took_floor
        before = tuple(
            SpokenTurn(turn.speaker, turn.heard or turn.text) for turn in record.transcript if turn.at < taken
        )
        told = next((one.brief for one in reversed(record.handoffs) if one.to_agent == self.agent and one.brief), None)
        if told is None:
            return local_extract(before, record.facts).over(self.context)
        known = {name: text for name, text in told.items() if name in _ENTRIES}
        return Brief(recent=(), recorded=(), added=(), **known).with_facts(record.facts).with_recent(before)

    def conversation(self) -> Conversation:
        conversation, handed_on = Conversation(facts=dict(self.record.facts)), self._handed_on
        for at, past in self._said():
            if handed_on is not None and at >= handed_on:
                conversation.hand_on()
                handed_on = None
            conversation.recall(past)
        if handed_on is not None:
            conversation.hand_on()
        conversation.done.update(function.name for function in self.record.functions if function.ok)
        if not self.unreached:
            self._recall_work(conversation)
        return conversation

    def _recall_work(self, conversation: Conversation) -> None:
        """Have the functions of the last turn known, which may be asked again: what they did is done once."""
        turns = (turn.at for turn in self.record.transcript if turn.speaker == CALLER)
        last = max(turns, default=0.0)
        for function in self.record.functions:
            answer = text_or_json(function.result)
            if function.agent == self.agent and function.at >= last and (function.ok or not answer):
                conversation.recall_work(function.name, text_or_json(function.arguments), answer)

    @property
    def _handed_on(self) -> float | None:
        """When the call was last handed to another agent, or to a person; None if it never was."""
        transfers, handoffs = self.record.transfers, self.record.handoffs
        times = [one.asked_at for one in transfers] + ([self._took_floor] if handoffs else [])
        return max(times, default=None)

    @property
    def _took_floor(self) -> float:
        began = 0.0
        for period in reversed(self.record.agents):
            if period.agent not in {self.agent, OPERATOR}:
                break
            began = period.started if period.agent == self.agent else began
        return began

    def _said(self) -> list[tuple[float, Past]]:
        found: list[tuple[float, Past]] = []
        for turn in self.record.transcript:
            if turn.speaker == CALLER:
                found.append((turn.at, CallerTurn(turn.text)))
            elif turn.heard and turn.speaker != SWITCHBOARD:
                complete = turn.heard == turn.text
                found.append((turn.at, Heard(turn.speaker, turn.heard, turn.heard, is_said=True, is_complete=complete)))
        for index, function in enumerate(self.record.functions):
            if (response := self._response(function)) != "":
                arguments = text_or_json(function.arguments)
                told = f"earlier-{index}", function.name, True, arguments, response, function.thought_signature or None
                found.append((function.at, CompletedCall(*told)))
        return sorted(found, key=lambda one: one[0])

    def _response(self, function: FunctionRecord) -> str:
        """Return what a function was answered: of the last transfer, what came of it."""
        asked = self.record.transfers[-1].asked_at if self.record.transfers and self.unreached else -1.0
        transfers = [one for one in self.record.functions if one.at <= asked and one.agent == self.agent]
        if transfers and function is transfers[-1]:
            return text_or_json({"error": _UNREACHED.format(why=self.unreached)})
        return text_or_json(function.result)


_ENTRIES = frozenset({*BRIEF_NAMES, "reason", "notes"})
