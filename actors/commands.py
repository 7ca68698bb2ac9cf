"""An operator's commands to a call that goes on, and their outcomes.

A `Command` comes through the call's own mailbox (`actors/endings/intercom.py`) and has an id of the operator's, under
which it is carried out once, however often it is sent. `CommandBook` is part of the call's shared state: it knows every
command of the call, notes each in the journal when it is decided, and answers everyone who sent it. A command that
is undecided when the call ends is decided by that. `Amendments` holds what they have changed of the prompts. Neither
owns a task, carries anything out (`actors/operator.py` does) or raises anything.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from enum import Enum
from typing import Final, TypeAlias

import attrs
import trio

from actors.facts import CommandAnswered
from actors.journal import Journal
from actors.supervision import Request
from agents.spec import AgentSpec
from store.records import CallRecord, CommandRecord

MOST_COMMANDS: Final = 1000
"""Of one call."""
MOST_UNDECIDED: Final = 50
NOTES_HEADING: Final = "## From the operator of this call"
_NOTE: Final = """\
A colleague who follows this call has told you what stands below. The customer has not said it and does not know of it.
Use it from your next answer on, and do not say that you were told."""
_SPARE: Final = 4_000
"""Characters, for the Brief and the direction."""
_GIVEN_BACK: Final = "A colleague has talked with the customer meanwhile. You do not know what was said: ask."


@attrs.frozen
class Say:
    """Say a sentence in the voice of the agent on the floor, in the next pause."""

    text: str


@attrs.frozen
class Whisper:
    """Tell the agents a fact: in their prompt, not as the caller's words. It holds for the rest of the call."""

    text: str


@attrs.frozen
class ChangePrompt:
    """Put another prompt in the place of the floor's agent's own, for the rest of the call."""

    text: str


@attrs.frozen
class HandoffTo:
    """Hand the call to any agent of the roster, with a Brief that has this reason and these notes.

    `how`: hard, or soft where the roster has a soft edge; empty: as the roster has it, else hard.
    """

    to: str
    reason: str = ""
    notes: str = ""
    how: str = ""


@attrs.frozen
class RestartAgent:
    """Open another session for the agent on the floor; it goes on with what was said."""


@attrs.frozen
class TransferTo:
    """Put the caller through to a person: at this number (E.164), or at the usual one."""

    number: str = ""
    reason: str = ""
    notes: str = ""


@attrs.frozen
class TakeOver:
    """Put the caller through to the operator, and have the agent take them back when the operator hangs up.

    The operator's telephone has this number (E.164), or is the usual person's.
    """

    number: str = ""


@attrs.frozen
class GiveBack:
    """Return the caller from the operator to the agent."""


Action: TypeAlias = Say | Whisper | ChangePrompt | HandoffTo | RestartAgent | TransferTo | TakeOver | GiveBack
KINDS: Final[Mapping[str, type[Action]]] = {
    "say": Say,
    "whisper": Whisper,
    "prompt": ChangePrompt,
    "handoff": HandoffTo,
    "restart": RestartAgent,
    "transfer": TransferTo,
    "take-over": TakeOver,
    "give-back": GiveBack,
}
"""By the name under which operators, the journal and other workers know them."""


@attrs.frozen
class Command:
    """One command. `id` is the operator's, `by` names the operator."""

    id: str
    by: str
    action: Action

    @property
    def name(self) -> str:
        """The name of its action, as in `KINDS`."""
        return next(name for name, kind in KINDS.items() if isinstance(self.action, kind))

    @property
    def wanted(self) -> tuple[str, Mapping[str, str]]:
        """Its name and its fields as they are kept under its id, and in the journal: all but phone numbers."""
        fields = attrs.asdict(self.action).items()
        return self.name, {name: str(value) for name, value in fields if value and name != "number"}


class Outcome(Enum):
    DONE = "done"
    REFUSED = "refused"
    """It cannot be carried out now, or at all; nothing was done."""
    FAILED = "failed"
    """It was tried."""
    OVER = "over"
    """The call ended first."""


@attrs.frozen
class CommandAnswer:
    """The answer to a command; `why` is in words, and empty where it is done."""

    outcome: Outcome
    why: str = ""


DONE: Final = CommandAnswer(Outcome.DONE)
OVER: Final = CommandAnswer(Outcome.OVER, "the call ended first")
_OTHER: Final = CommandAnswer(Outcome.REFUSED, "this id stands for another command of this call")
_TOO_MANY: Final = CommandAnswer(Outcome.REFUSED, f"{MOST_UNDECIDED} commands of this call are not decided yet")
_FULL: Final = CommandAnswer(Outcome.REFUSED, f"{MOST_COMMANDS} commands were given to this call already")


def refused(why: str) -> CommandAnswer:
    return CommandAnswer(Outcome.REFUSED, why)


def failed(why: str) -> CommandAnswer:
    return CommandAnswer(Outcome.FAILED, why)


ReplyTo: TypeAlias = trio.MemorySendChannel[CommandAnswer]


@attrs.frozen(eq=False)
class CommandGiven:
    """From an operator: carry this out, and answer on `reply_to`, which has room for one and is closed by the asker."""

    command: Command
    reply_to: ReplyTo
    phone: Request | None = None
    """The page's phone on which the operator takes the call over (`actors/operator.py`)."""


def answer_of(record: CommandRecord) -> CommandAnswer:
    """Return what a record says became of a command; an outcome of another version is one that failed."""
    known = {outcome.value: outcome for outcome in Outcome}
    return CommandAnswer(known.get(record.outcome, Outcome.FAILED), record.why)


@attrs.define(eq=False)
class Undecided:
    """A command that is being carried out, and who waits for its answer."""

    command: Command
    waiting: list[ReplyTo]
    since: float = attrs.field(factory=trio.current_time)


@attrs.define(eq=False)
class CommandBook:
    journal: Journal
    _undecided: dict[str, Undecided] = attrs.field(factory=dict, init=False)
    _decided: dict[str, tuple[tuple[str, Mapping[str, str]], CommandAnswer]] = attrs.field(factory=dict, init=False)

    def recall(self, earlier: Iterable[CommandRecord]) -> None:
        """Remember what became of the commands on an earlier stream of the call."""
        for one in earlier:
            self._decided[one.id] = (one.command, one.fields), answer_of(one)

    def note_done(self, command: Command) -> None:
        """Note a command that was carried out while the call had no stream, and waits for its answer."""
        self._undecided[command.id] = Undecided(command, [])
        self.decide(command.id, DONE)

    def take(self, given: CommandGiven) -> bool:
        """Take a command; True if it is new and is to be carried out. One that is known is answered as it was."""
        command, known = given.command, self._undecided.get(given.command.id)
        if (answer := self._answer_at_once(command, known)) is not None:
            self._reply((given.reply_to,), answer)
        elif known is not None:
            known.waiting.append(given.reply_to)
        else:
            self._undecided[command.id] = Undecided(command, [given.reply_to])
            return True
        return False

    def _answer_at_once(self, command: Command, known: Undecided | None) -> CommandAnswer | None:
        if (decided := self._decided.get(command.id)) is not None:
            return decided[1] if decided[0] == command.wanted else _OTHER
        if known is not None:
            return None if known.command.wanted == command.wanted else _OTHER
        if len(self._decided) >= MOST_COMMANDS:
            return _FULL
        return _TOO_MANY if len(self._undecided) >= MOST_UNDECIDED else None

    def decide(self, command_id: str, answer: CommandAnswer) -> None:
        """Note what became of a command, and tell all who wait for it; the first decision holds."""
        undecided = self._undecided.pop(command_id, None)
        if undecided is None:
            return
        command, wanted = undecided.command, undecided.command.wanted
        self._decided[command_id] = wanted, answer
        took = round(trio.current_time() - undecided.since, 6)
        told = answer.outcome.value, answer.why
        self.journal.note(CommandAnswered(command.id, command.by, wanted[0], *told, took, wanted[1]))
        self._reply(undecided.waiting, answer)

    def close(self, answer: CommandAnswer = OVER) -> None:
        """Decide everything that is left: the call is over."""
        for command_id in list(self._undecided):
            self.decide(command_id, answer)

    @contextmanager
    def reading(self, mailbox: trio.MemoryReceiveChannel[object]) -> Iterator[None]:
        """Leave no command in a mailbox behind the `with`: each is noted, and answered."""
        try:
            yield
        finally:
            with suppress(trio.WouldBlock):
                while True:
                    if isinstance(message := mailbox.receive_nowait(), CommandGiven):
                        self.take(message)  # the end of the call decides it

    @staticmethod
    def _reply(waiting: Iterable[ReplyTo], answer: CommandAnswer) -> None:
        for reply_to in waiting:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):  # nobody waits any more
                reply_to.send_nowait(answer)


@attrs.define(eq=False)
class Amendments:
    """An operator's changes to the agents' prompts, for the rest of the call; `version` counts them.

    Settings of new sessions are written with it, and the session on the floor is told of each change (`UpdateThink`):
    no restart and no handoff loses one.
    """

    version: int = attrs.field(default=0, init=False)
    _notes: list[str] = attrs.field(factory=list, init=False)
    _prompts: dict[str, str] = attrs.field(factory=dict, init=False)
    """By agent."""

    def amend(self, agent: str, *, note: str = "", prompt: str = "") -> int:
        """Add a note for every agent, or put a prompt in the place of an agent's own; return the new version."""
        if note:
            self._notes.append(note)
        if prompt:
            self._prompts[agent] = prompt
        self.version += 1
        return self.version

    def recall(self, record: CallRecord, *, is_given_back: bool) -> None:
        """Take what was changed on earlier streams of the call, whose prompts know nothing of it."""
        for one in record.commands:
            text = one.fields.get("text", "")
            agents = [period.agent for period in record.agents if period.started <= one.at]
            if one.outcome not in {"done", "failed"}:  # "failed" holds from the next session on
                continue
            if one.command == "whisper":
                self.amend("", note=text)
            elif one.command == "prompt" and agents:
                self.amend(agents[-1], prompt=text)
        if is_given_back:
            self.note_person()

    def note_person(self) -> None:
        """Have the agents know that an operator has talked with the caller."""
        if _GIVEN_BACK not in self._notes:
            self.amend("", note=_GIVEN_BACK)

    def has_room_for(self, agent: AgentSpec, *, note: str = "", prompt: str = "") -> bool:
        """Whether an agent's prompt is short enough for the service with this note, or this prompt."""
        draft = deepcopy(self)
        draft.amend(agent.name, note=note, prompt=prompt)
        amended = draft.amended(agent)
        return max(len(amended.prompt), len(amended.inbound_prompt)) <= agent.prompt_limit - _SPARE

    def amended(self, agent: AgentSpec) -> AgentSpec:
        changed = self._prompts.get(agent.name)
        if changed is not None:
            agent = attrs.evolve(agent, prompt=changed, inbound_prompt="")
        if not self._notes:
            return agent
        notes = "\n".join([NOTES_HEADING, _NOTE, "", *(f"- {note}" for note in self._notes)])
        inbound = f"{agent.inbound_prompt.rstrip()}\n\n{notes}" if agent.inbound_prompt else ""
        return attrs.evolve(agent, prompt=f"{agent.prompt.rstrip()}\n\n{notes}", inbound_prompt=inbound)
