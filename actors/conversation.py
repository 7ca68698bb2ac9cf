"""What has been said on this call so far, as the next agent or a restarted one must be told.

`Conversation` is the live transcript: the caller's confirmed turns, the agents' replies as far as they were *heard*,
the functions that were answered, and the facts these recorded. Sessions write to it, Supervisor and Summarizer read.
It keeps no audio and owns no task.
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from actors.reply import Reply
from agents.brief import Turn
from protocol.deepgram import CompletedCall, HistoryCalls, HistoryText


@attrs.frozen
class CallerTurn:
    """The caller said this."""

    text: str


Said: TypeAlias = CallerTurn | Reply | CompletedCall


@attrs.define
class Conversation:
    """The words of one call, in order."""

    facts: dict[str, str] = attrs.field(factory=dict)
    """What the functions recorded (agents' vocabulary: name, need, next_step, …)."""
    asked: int = 0
    """How often the caller was asked whether they are there, since they last said anything."""
    _said: list[Said] = attrs.field(factory=list, alias="said")
    _answers: dict[tuple[int, str, str], str] = attrs.field(factory=dict)

    def add_caller(self, text: str) -> None:
        self._said.append(CallerTurn(text))
        self.asked = 0

    def add_reply(self, reply: Reply) -> None:
        """Note that a reply has begun; its words are read from it as they are spoken and heard."""
        if not any(said is reply for said in self._said[-8:]):
            self._said.append(reply)

    def add_function(self, call: CompletedCall, facts: Mapping[str, str], *, repeatable: bool = False) -> None:
        """Note an answered function call, and what it recorded. What failed may be tried again: `repeatable`."""
        if not repeatable:
            self._answers[self._turn_number, call.name, call.arguments] = call.response
        self._said.append(call)
        self.facts.update(facts)

    def earlier_answer(self, name: str, arguments: str) -> str | None:
        """Return the answer this very call got in this very turn of the caller.

        A restarted session is asked the unanswered turn again, and may call again what was done already.
        """
        return self._answers.get((self._turn_number, name, arguments))

    def unanswered(self, since: int = 0) -> str | None:
        """Return the caller's last turn, if no agent has answered it (or was interrupted answering); else None."""
        for said in reversed(self._said[since:]):
            match said:
                case CallerTurn(text=text):
                    return text
                case Reply() if said.whole or said.cut:
                    return None
                case _:
                    continue
        return None

    @property
    def last_reply(self) -> Reply | None:
        """What an agent said last."""
        return next((said for said in reversed(self._said) if isinstance(said, Reply)), None)

    @property
    def is_caller_heard(self) -> bool:
        """Whether the caller has said anything."""
        return any(isinstance(said, CallerTurn) for said in self._said)

    @property
    def is_answered(self) -> bool:
        """Whether the caller has said anything after they had heard an agent out."""
        heard = False
        for said in self._said:
            if isinstance(said, CallerTurn) and heard:
                return True
            heard = heard or (isinstance(said, Reply) and said.complete)
        return False

    def is_opened(self, since: int = 0) -> bool:
        """Whether anything was said, from the `since`-th thing on, that a new session could go on from."""
        return any(
            isinstance(said, CallerTurn) or (isinstance(said, Reply) and (said.whole or said.cut))
            for said in self._said[since:]
        )

    def turns(self, since: int = 0) -> tuple[Turn, ...]:
        """Return the turns as spoken and heard, from the `since`-th thing said on."""
        found: list[Turn] = []
        for said in self._said[since:]:
            match said:
                case CallerTurn(text=text):
                    found.append(Turn("caller", text))
                case Reply():
                    found.extend([Turn(said.agent, heard)] if (heard := said.heard_text()) else [])
                case _:
                    continue
        return tuple(found)

    @property
    def length(self) -> int:
        """How many things were said: a bookmark for `turns`."""
        return len(self._said)

    def history(self, since: int = 0) -> tuple[HistoryText | HistoryCalls, ...]:
        """Return what was said for `agent.context.messages`, without an unanswered last turn and its half answer."""
        said = self._said[since:]
        if self.unanswered(since) is not None:
            last = max(index for index, one in enumerate(said) if isinstance(one, CallerTurn))
            said = said[:last] + [one for one in said[last:] if isinstance(one, CompletedCall)]
        return tuple(message for one in said for message in _as_history(one))

    @property
    def _turn_number(self) -> int:
        return sum(isinstance(said, CallerTurn) for said in self._said)


def _as_history(said: Said) -> tuple[HistoryText | HistoryCalls, ...]:
    match said:
        case CallerTurn(text=text):
            return (HistoryText("user", text),)
        case Reply():
            heard = said.text if said.whole and not said.cut else said.heard_text()  # what is whole is played out
            return (HistoryText("assistant", heard),) if heard else ()
        case _:
            return (HistoryCalls((said,)),)
