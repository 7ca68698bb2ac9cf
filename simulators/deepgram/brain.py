"""Answers of a scripted agent: the turn of the scenario that fits best to what it heard.

`Brain` plays the language model: it finds the turn of the scenario that fits the caller's words, remembers which turns
were used, and picks the conversation up from replayed history. It is pure: no time, no wire, no randomness.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

import attrs

from protocol.deepgram import HistoryCalls, HistoryText
from simulators.scenario import Scenario, ScriptedAgent, ScriptedTurn

GOOD_ENOUGH = 0.5
"""A turn whose `hears` is less like what was heard than this is no match."""

GO_ON = "go on where you stopped"
"""Words that ask for the rest of an answer, and for no other."""
DEFAULT_FALLBACK = "Sorry, could you say that again?"
DEFAULT_APOLOGY = "Sorry, that did not work."


def words_of(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    joined = text.replace("'", "").replace("’", "")
    return "".join(each if each.isalnum() or each.isspace() else " " for each in joined).casefold().split()


def likeness(expected: str, heard: str) -> float:
    """Tell how well what was heard fits what was expected, from 0 to 1.

    Half of it is how alike the two are, half how much of the expected words is there: "five" is found in "I would say
    a five", and "sure I have minutes" is still "sure, I have a few minutes".
    """
    wanted, found = words_of(expected), words_of(heard)
    if not wanted or not found:
        return 0.0
    matcher = SequenceMatcher(None, wanted, found, autojunk=False)
    covered = sum(block.size for block in matcher.get_matching_blocks()) / len(wanted)
    return (matcher.ratio() + covered) / 2


def identify(scenario: Scenario, tags: Sequence[str], prompt: str) -> ScriptedAgent:
    """Find which agent of the scenario a session plays: by tag, else by its prompt, else the first."""
    first = next(iter(scenario.agents.values()), ScriptedAgent(name="agent"))
    return scenario.agent_for(tags, prompt) or first


@attrs.frozen
class Answer:
    """An answer: words and function calls; `number` is the index of the scripted turn, None for a fallback line."""

    heard: str
    turn: ScriptedTurn
    number: int | None


def _rest_of(turn: ScriptedTurn, told: int, called: set[str]) -> ScriptedTurn:
    """Return a turn without as many of its words, and without these functions; its last words, if that is all."""
    first, second = " ".join(turn.says).split(), " ".join(turn.then).split()
    left, later = " ".join(first[told:]), " ".join(second[max(0, told - len(first)) :])
    calls = [tuple(call for call in some if call.name not in called) for some in (turn.calls, turn.then_calls)]
    says = (left,) if left else () if later or any(calls) else turn.says[-1:]
    return attrs.evolve(turn, says=says, then=(later,) if later else (), calls=calls[0], then_calls=calls[1])


@attrs.define
class Brain:
    """One agent's memory of one conversation."""

    agent: ScriptedAgent
    _used: set[int] = attrs.field(factory=set, init=False)
    _last: int = attrs.field(default=-1, init=False)
    _fallbacks: int = attrs.field(default=0, init=False)
    _rest: Answer | None = attrs.field(default=None, init=False)
    """The answer that a replayed history ends with: all that is still to be said and called of it."""

    def answer(self, heard: str) -> Answer:
        """Choose the turn that fits best, and count it as used.

        A turn not yet used goes before a used one; when nothing fits, the next unused turn in order; when none is
        left, a fallback line. A model that is asked to go on does so.
        """
        rest, self._rest = self._rest, None
        if rest is not None and GO_ON in heard.casefold():
            if rest.number is not None:
                self._used.add(rest.number)
            return attrs.evolve(rest, heard=heard)
        number = self._find(heard)
        if number is None:
            return Answer(heard, self._fallback(), None)
        self._used.add(number)
        self._last = number
        return Answer(heard, self.agent.turns[number], number)

    def give_back(self, answer: Answer) -> None:
        """Take an answer back that nobody heard anything of."""
        if answer.number is None:
            self._fallbacks = max(0, self._fallbacks - 1)
            return
        self._used.discard(answer.number)
        self._last = answer.number - 1

    def replay(self, messages: Sequence[HistoryText | HistoryCalls]) -> str:
        """Live through a conversation that happened before, and return the user's last words if unanswered.

        A last turn whose functions are not in the history was cut short: it may be used again.
        """
        heard: list[str] = []
        last: Answer | None = None
        called: set[str] = set()
        told = 0
        for message in messages:
            if isinstance(message, HistoryText) and message.role == "user":
                heard.append(message.content)
                continue
            if heard:
                last, called, told = self.answer(" ".join(heard)), set(), 0
                heard.clear()
            if isinstance(message, HistoryCalls):
                called.update(call.name for call in message.function_calls)
            else:
                told += len(message.content.split())
        if last is not None and not heard and not {call.name for call in last.turn.calls} <= called:
            self.give_back(last)
        self._rest = None if last is None or heard else attrs.evolve(last, turn=_rest_of(last.turn, told, called))
        return " ".join(heard)

    def _find(self, heard: str) -> int | None:
        unused = [number for number in range(len(self.agent.turns)) if number not in self._used]
        for candidates in (unused, sorted(self._used)):
            likes = {number: likeness(self.agent.turns[number].hears, heard) for number in candidates}
            best = max(likes, key=lambda number: (likes[number], -number), default=None)
            if best is not None and likes[best] >= GOOD_ENOUGH:
                return best
        later = [number for number in unused if number > self._last]
        return next(iter(later or unused), None)

    def _fallback(self) -> ScriptedTurn:
        lines = self.agent.fallback or (DEFAULT_FALLBACK,)
        line = lines[self._fallbacks % len(lines)]
        self._fallbacks += 1
        return ScriptedTurn(hears="", says=(line,), slow=self.agent.fallback_slow)
