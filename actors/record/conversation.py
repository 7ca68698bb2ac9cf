"""The conversation so far, as the next agent or a restarted one must be told.

`Conversation` is the live transcript: the caller's confirmed turns, the agents' replies as far as they were *heard*,
the functions that were answered, and the facts these recorded. Sessions write to it, Supervisor and Summarizer read.
It keeps no audio and owns no task. What was said a while ago is kept compressed (`actors/record/packed.py`).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice, takewhile
from typing import TypeAlias

import attrs
from trio.lowlevel import ParkingLot

from actors.line.reply import Reply
from actors.record.packed import PackedList
from agents.quoting import SpokenTurn
from protocol.deepgram import CompletedCall, HistoryCalls, HistoryText
from protocol.fields import json_or
from store.redaction import has_gaps


@attrs.frozen
class CallerTurn:
    """The caller said this."""

    text: str


@attrs.frozen
class Heard:
    """An agent said this, and it is over."""

    agent: str
    text: str
    """The words that the caller heard."""
    told: str
    """The words that the model is told it said: what was received is played out, unless it was cut."""
    is_said: bool
    """Whether it was said to its end, or broken off: not so if its session left in the middle."""
    is_complete: bool

    @classmethod
    def of(cls, reply: Reply) -> "Heard":
        told = reply.heard_text(reply.played if reply.cut else reply.received)
        return cls(reply.agent, reply.heard_text(), told, reply.whole or reply.cut, reply.complete)


@attrs.frozen
class Stretch:
    """A part of what was said that is one agent's own conversation; `passing_on` is the function that ended it."""

    start: int
    stop: int
    passing_on: CompletedCall | None = None


_LONGEST_TOLD = 16_384
"""Characters of arguments, as of an answer."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What language models take for the name of a function."""
Past: TypeAlias = CallerTurn | Heard | CompletedCall
Said: TypeAlias = Past | Reply


@attrs.frozen
class _Mark:
    """How much has been said: so many things, and so much of the last reply, which goes on where no end is told."""

    length: int
    reply: Reply
    text: str
    received: int

    @property
    def has_more(self) -> bool:
        """Whether something that this reply says since is heard."""
        return self.reply.text != self.text and self.reply.played > self.received


@attrs.define
class Conversation:
    facts: dict[str, str] = attrs.field(factory=dict)
    """The facts that functions recorded (agents' vocabulary: name, need, next_step, …)."""
    last_reply: Reply | None = attrs.field(default=None, init=False)
    is_with_machine: bool = False
    """Whether Twilio says that an answering machine has picked up."""
    caller_turns: int = 0
    turns_to_answer: int = attrs.field(default=0, init=False)
    """How many turns had no answer yet when they were told."""
    functions: int = attrs.field(default=0, init=False)
    """How many functions the model has called: the last one's number."""
    functions_in_turn: int = attrs.field(default=0, init=False)
    """How many of them since the caller's last turn."""
    done: set[str] = attrs.field(factory=set, init=False)
    """The functions that any agent of this call has called: to speak of one is no announcement."""
    _turns_handed_on: int = attrs.field(default=0, init=False)
    """How many turns the caller had had when the call was last handed on."""
    _said: PackedList[Said] = attrs.field(factory=lambda: PackedList(_as_line, _of_line, is_final=_is_over), init=False)
    _answers: dict[tuple[str, str], tuple[str, _Mark]] = attrs.field(factory=dict, init=False)
    """The answers to functions, each with how much had been said, of which the caller had not heard when they spoke."""
    _at_work: dict[tuple[str, str], tuple[int, _Mark]] = attrs.field(factory=dict, init=False)
    """The sessions of the functions whose handlers are at work, or were when it ended, each with the same."""
    _recalled: list[tuple[str, object, str]] = attrs.field(factory=list, init=False)
    """The functions of that turn on an earlier stream, whose arguments are known as they were written down."""

    _caller_spoke: ParkingLot = attrs.field(factory=ParkingLot, init=False, eq=False)

    def recall(self, past: Past) -> None:
        """Note what was said or done on an earlier stream of the call."""
        self._said.append(past)
        self.caller_turns += isinstance(past, CallerTurn)

    def recall_work(self, name: str, arguments: str, answer: str) -> None:
        """Note a function of the last turn on an earlier stream; without an `answer` its handler was broken off."""
        self._recalled.append((name, json_or(arguments, arguments), answer))

    def add_caller(self, text: str, *, is_answered: bool = False, session: int = 0) -> None:
        """Note a turn of the caller's, told by a session; one that `is_answered` by the last reply stands before it."""
        self._said.append(CallerTurn(text))
        if is_answered and self._said.recent[-2:-1] == [self.last_reply]:
            self._said.recent[-2:] = reversed(self._said.recent[-2:])
        self._forget_functions(session)
        self.functions_in_turn = 0
        self.caller_turns += 1
        self.turns_to_answer += not is_answered
        self._caller_spoke.unpark_all()

    def _forget_functions(self, session: int) -> None:
        """Take what the model asks for from now on for new wishes of the caller's, where they have heard of the last.

        Their words before that are more of the same turn: one sentence may come as two.
        """
        answers, work, unheard = self._answers.items(), self._at_work.items(), self._is_unheard_since
        self._answers = {call: answer for call, answer in answers if unheard(answer[1])}
        self._at_work = {call: begun for call, begun in work if begun[0] == session or unheard(begun[1])}
        self._recalled.clear()

    def _mark(self) -> _Mark:
        last = self.last_reply or Reply("", 0, 0.0)
        return _Mark(self.length, last, last.text, last.received)

    def _is_unheard_since(self, mark: _Mark) -> bool:
        heard = (isinstance(said, Heard) and said.text for said in self._since(mark.length))
        return not (mark.has_more or any(heard))

    async def wait_caller(self) -> None:
        await self._caller_spoke.park()

    def hand_on(self) -> None:
        """Note that the next agent, or a person, has the caller now."""
        self._turns_handed_on = self.caller_turns

    def count_function(self) -> int:
        """Count a function call of the model; return its number."""
        self.functions += 1
        self.functions_in_turn += 1
        return self.functions

    def add_reply(self, reply: Reply) -> None:
        """Note that a reply has begun; its words are read from it as they are spoken and heard."""
        if not any(said is reply for said in self._said.recent):
            self._said.append(reply)
        self.last_reply = reply

    def add_function(self, call: CompletedCall, facts: Mapping[str, str], *, repeatable: bool = False) -> None:
        """Note an answered function call, and what it recorded. What failed may be tried again: `repeatable`."""
        if not repeatable:
            self._answers[comparable(call.name, call.arguments)] = call.response, self._mark()
            self.done.add(call.name)
        self._said.append(call)
        self.record(facts)

    def record(self, facts: Mapping[str, str]) -> None:
        """Keep facts, the newest last."""
        for name, value in facts.items():
            self.facts.pop(name, None)
            self.facts[name] = value

    def earlier_answer(self, name: str, arguments: str, *, acts: bool = True) -> str | None:
        """Return the answer this very call got in this very turn of the caller, or of which they have not heard.

        A restarted session is asked the unanswered turn again, and may call again what was done already. What does not
        act decides, and the caller has come back on another stream: it is decided anew.
        """
        call = comparable(name, arguments)
        recalled = self._recall_answers(*call) if acts else ()
        return next(filter(None, (self._answers.get(call, ("",))[0], *recalled)), None)

    def begin_function(self, name: str, arguments: str, session: int) -> None:
        self._at_work[comparable(name, arguments)] = session, self._mark()

    def end_function(self, name: str, arguments: str) -> None:
        self._at_work.pop(comparable(name, arguments), None)

    def is_broken_off(self, name: str, arguments: str, session: int) -> bool:
        """Say whether an earlier session has left this very call, in this very turn, while its handler was at work."""
        call = comparable(name, arguments)
        return self._at_work.get(call, (session,))[0] != session or "" in self._recall_answers(*call)

    def _recall_answers(self, name: str, arguments: str) -> Iterator[str]:
        """Return how this call was answered on an earlier stream, in the same turn; "" if it was broken off.

        A call whose arguments had numbers, which the record leaves out, is known by its name alone.
        """
        told = json_or(arguments, arguments)
        alike = (one for one in self._recalled if one[0] == name and (one[1] == told or has_gaps(one[1])))
        return (answer for _, _, answer in alike)

    def unanswered(self, since: int = 0) -> str | None:
        """Return the caller's last turn, if no agent has answered it (or was interrupted answering); else None.

        Words that were said with a function do not answer it: what the function has answered is still to be told.
        """
        has_function = False
        for said in self._newest_first(since):
            match said:
                case CallerTurn(text=text):
                    return text
                case CompletedCall():
                    has_function = True
                case Heard(is_said=True) if not has_function:
                    return None
                case _:
                    continue
        return None

    def is_answer_begun(self, since: int = 0) -> bool:
        """Whether an agent has said anything since the caller's last turn."""
        later = takewhile(lambda said: not isinstance(said, CallerTurn), self._newest_first(since))
        return any(isinstance(said, Heard) and said.told for said in later)

    def last_turn(self, since: int = 0) -> str | None:
        """Return the caller's last turn, answered or not; None if they have had none."""
        return next((said.text for said in self._newest_first(since) if isinstance(said, CallerTurn)), None)

    @property
    def is_heard_since_handoff(self) -> bool:
        """Whether the caller has said anything since the call was last handed on, or since it began."""
        return self.caller_turns > self._turns_handed_on

    def answers(self) -> tuple[str, ...]:
        """Return what the caller has said after they had heard an agent out, turn by turn."""
        heard, found = False, list[str]()
        for said in self._since(0):
            if isinstance(said, CallerTurn) and heard:
                found.append(said.text)
            heard = heard or (isinstance(said, Heard) and said.is_complete)
        return tuple(found)

    def is_opened(self, since: int = 0) -> bool:
        """Whether anything was said, from the `since`-th thing on, that a new session could go on from."""
        return any(
            isinstance(said, CallerTurn) or (isinstance(said, Heard) and said.is_said) for said in self._since(since)
        )

    def turns(self, since: int = 0) -> tuple[SpokenTurn, ...]:
        """Return the turns as spoken and heard, from the `since`-th thing said on."""
        found: list[SpokenTurn] = []
        for said in self._since(since):
            match said:
                case CallerTurn(text=text):
                    found.append(SpokenTurn("caller", text))
                case Heard(agent=agent, text=text) if text:
                    found.append(SpokenTurn(agent, text))
                case _:
                    continue
        return tuple(found)

    @property
    def length(self) -> int:
        """How many things were said: a bookmark for `turns`."""
        return len(self._said)

    def history(
        self, since: int = 0, *, asks_again: bool | None = None, earlier: Sequence[Stretch] = ()
    ) -> tuple[HistoryText | HistoryCalls, ...]:
        """Return what was said for `agent.context.messages`, without a last turn that is asked again, and its answer.

        `asks_again` says whether the last turn is put to the model again; None: if it is unanswered. `earlier` comes
        before what was said since.
        """
        said = list(self._since(since))
        asks_again = self.unanswered(since) is not None if asks_again is None else asks_again
        if asks_again and self.last_turn(since) is not None:
            last = max(index for index, one in enumerate(said) if isinstance(one, CallerTurn))
            said = said[:last] + [one for one in said[last:] if isinstance(one, CompletedCall)]
        before = [one for stretch in earlier for one in self._within(stretch)]
        ids = set[str]()
        return tuple(message for one in (*before, *said) for message in _as_history(one, ids))

    def _within(self, stretch: Stretch) -> Iterator[Past]:
        yield from islice(self._since(stretch.start), stretch.stop - stretch.start)
        if stretch.passing_on is not None:
            yield stretch.passing_on

    def _newest_first(self, since: int) -> Iterator[Past]:
        return map(_past, islice(self._said.newest_first(), max(0, self.length - since)))

    def _since(self, index: int) -> Iterator[Past]:
        return map(_past, self._said.since(index))


def _past(said: Said) -> Past:
    return Heard.of(said) if isinstance(said, Reply) else said


def _is_over(said: Said) -> bool:
    return not isinstance(said, Reply) or said.is_over


def _as_history(said: Past, ids: set[str]) -> tuple[HistoryText | HistoryCalls, ...]:
    """Return what was said for a model; `ids` are those of the function calls before it."""
    match said:
        case CallerTurn(text=text):
            return (HistoryText("user", text),)
        case Heard(told=told):
            return (HistoryText("assistant", told),) if told else ()
        case CompletedCall(name=name) if not _NAME.fullmatch(name):
            return ()  # it was none
        case CompletedCall():
            return (HistoryCalls((_as_told(said, ids),)),)


def _as_told(call: CompletedCall, ids: set[str]) -> CompletedCall:
    """Return a call as every service takes it in a history: with an id of its own, and an object that is no book."""
    names = chain([call.id], (f"call-{number}" for number in count()))
    own = next(name for name in names if name and name not in ids)
    ids.add(own)
    is_object = len(call.arguments) <= _LONGEST_TOLD and isinstance(json_or(call.arguments, None), dict)
    return attrs.evolve(call, id=own, arguments=call.arguments if is_object else "{}")


_KINDS: Sequence[type[Past]] = (CallerTurn, Heard, CompletedCall)


def _as_line(said: Said) -> bytes:
    past = _past(said)
    return json.dumps((_KINDS.index(type(past)), *attrs.astuple(past, recurse=False))).encode() + b"\n"


def _of_line(line: bytes) -> Said:
    kind, *fields = json.loads(line)
    said: Said = _KINDS[kind](*fields)
    return said


def comparable(name: str, arguments: str) -> tuple[str, str]:
    """Return a function call as it is compared with another: a model does not write the same JSON twice."""
    try:
        return name, json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return name, arguments
