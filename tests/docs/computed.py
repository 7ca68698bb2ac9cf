"""What the pages say in numbers and lists, worked out from the code."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

import attrs
import trio
from trio.testing import MockClock

from actors.errors import AgentUnavailable, NoRestartLeft
from actors.policy import CallPolicy
from actors.supervision import Crashed, RestartBudget
from agents.functions import END_CONVERSATION
from setting_reader import Variable
from settings import VARIABLES
from simulators.faults import FORMS
from simulators.scenario import load_scenario, shipped_scenarios
from testkit.probe.command import PROBE_VARIABLES
from tests.docs import references

ENDLESS = 50
"""A budget that is not spent by so many restarts never is."""


class Longest(Random):
    """Every delay as long as it may be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def until_budget_is_spent(policy: CallPolicy, *, stands_still: bool = True) -> float | None:
    """Return the longest time from a crash until no restart is left; None if that never comes.

    Every attempt fails, takes as long as it may, and so does every delay before one. The call's total, which is
    for other troubles, is left out. `stands_still` is the rule of `RestartBudget.stand_still`; without it the attempts
    would count as time in which all was well.
    """

    async def fail_until_spent() -> float | None:
        began = trio.current_time()
        budget = RestartBudget(attrs.evolve(policy.restarts, total=ENDLESS + 1), Longest())
        for _ in range(ENDLESS):
            try:
                await trio.sleep(budget.spend(Crashed(AgentUnavailable("not ready"))))
            except NoRestartLeft:
                return trio.current_time() - began
            await trio.sleep(policy.deadlines.session_start)
            if stands_still:
                budget.stand_still(policy.deadlines.session_start)
        return None

    return trio.run(fail_until_spent, clock=MockClock(autojump_threshold=0))


def restart_sum(policy: CallPolicy) -> float:
    """Return what the restarts of one budget last at most, were the period no matter."""
    return delay_sum(policy) + policy.restarts.intensity * policy.deadlines.session_start


def delay_sum(policy: CallPolicy) -> float:
    """Return the longest delays before the restarts of one budget."""
    restarts = policy.restarts
    return sum(min(restarts.longest_delay, restarts.first_delay * 2.0**nth) for nth in range(restarts.intensity))


def handoff_sum(policy: CallPolicy) -> float:
    """Return how long a handoff that fails keeps the caller waiting."""
    attempt = max(policy.deadlines.handoff_start, policy.deadlines.summary + 1)
    return (
        policy.numbers.handoff_attempts * attempt + (policy.numbers.handoff_attempts - 1) * policy.restarts.first_delay
    )


def mute_sum(policy: CallPolicy) -> float:
    """Return how long a session that says nothing keeps the floor, without the filler in between."""
    return policy.deadlines.silence_budget + policy.deadlines.silence_budget - policy.deadlines.filler_lead


def silence() -> str:
    """Write the table of silences."""
    policy = CallPolicy()
    waits = policy.deadlines
    spent, restarts = until_budget_is_spent(policy), policy.restarts
    assert spent is not None, "a budget that is never spent is a caller who waits for ever"
    apology, unopened = (
        spent + waits.hang_up,
        waits.session_start + spent + waits.hang_up,
    )
    rows = [
        ("it is the agents' turn and nobody speaks; then a filler", "`silence_budget`",
         _seconds(waits.silence_budget)),
        ("the session on the floor is lost, one restart helps", "`restarts.first_delay` + `session_start`",
         _seconds(restarts.first_delay + waits.session_start)),
        ("... the last restart of the budget helps", "the same for each restart, the delay doubling",
         _seconds(restart_sum(policy))),
        ("... none helps; then the apology", "the line before + `hang_up`", _seconds(apology)),
        ("the first session of the call never starts; then the apology", "`session_start` + the line before",
         _seconds(unopened)),
        ("each session starts at its last moment, and is lost without a word; then the apology", "the same",
         _seconds(unopened)),
        ("each session speaks, and is lost less often than its budget forbids; the silences until the apology",
         "`restarts.total` × (`first_delay` doubled + `session_start`) + `hang_up`, all together, with words between",
         _seconds(restarts.total * (2 * restarts.first_delay + waits.session_start) + waits.hang_up)),
        ("a session says nothing, whatever is asked of it; then it is restarted",
         "2 × `silence_budget` - `filler_lead`, and the filler", _seconds(mute_sum(policy))),
        ("... and so does each that comes after it; then the apology",
         "that for each of them + the delays between + `hang_up`; and what their starts take",
         _seconds((restarts.intensity + 1) * mute_sum(policy) + delay_sum(policy) + waits.hang_up)),
        ("the service has no room (HTTP 429); then the attempts above begin to count",
         "`busy_patience` + `busy_retry`", _seconds(waits.busy_patience + waits.busy_retry)),
        ("the service refuses for good (bad key, `INVALID_SETTINGS`); then the apology", "`hang_up`",
         _seconds(waits.hang_up)),
        ("a handoff fails; then the old agent goes on",
         "`handoff_attempts` × `handoff_start` (or `summary` + 1 s, if longer), with `first_delay` between",
         _seconds(handoff_sum(policy))),
        ("... and the old session is lost meanwhile", "the line before + one restart",
         _seconds(handoff_sum(policy) + restarts.first_delay + waits.session_start)),
        ("a soft handoff is given up; then the hard one begins", "`summary` + 3 × `soft_step`",
         _seconds(waits.summary + 3 * waits.soft_step)),
        ("the Brief does not come (part of the handoff's own time)", "`summary`",
         _seconds(waits.summary)),
        ("Deepgram has stopped reading, and every buffer between is full", "`send_stall`, then a restart",
         _seconds(waits.send_stall + restarts.first_delay + waits.session_start)),
        ("a function of the agent hangs", "its `deadline`, with fillers meanwhile; this is the default",
         _seconds(END_CONVERSATION.deadline)),
        ("the agent ends the call and never says goodbye; then Twilio does", "`goodbye_audio` + `hang_up`",
         _seconds(waits.goodbye_audio + waits.hang_up)),
        ("... its model is slow, and the service says so", "`think_patience` + `hang_up`",
         _seconds(waits.think_patience + waits.hang_up)),
        ("the goodbye was heard and its mark never comes back", "`goodbye_onset` + `goodbye_grace` + `hang_up`",
         _seconds(waits.goodbye_onset + waits.goodbye_grace + waits.hang_up)),
        ("a call is to end, and no agent says the last sentence; then Twilio does", "`closing` + `hang_up`",
         _seconds(waits.closing + waits.hang_up)),
        ("... an agent begins it and never finishes; then the call is ended", "`longest_closing`",
         _seconds(waits.longest_closing)),
        ("Twilio does not put a caller through, after they heard that it does; then the agent goes on",
         "`goodbye_onset` + `put_through`", _seconds(waits.goodbye_onset + waits.put_through)),
    ]  # fmt: skip
    return _table(("what happens", "the caller waits at most for", "with the defaults"), rows)


def faults() -> str:
    """Write the table of faults."""
    rows = [(f"`{form.target}: {form.example}`", form.does, _modifiers(form.modifiers)) for form in FORMS]
    return _table(("an example", "what happens", "may also have"), rows)


def scenarios() -> str:
    """Write the table of shipped scenarios."""
    return _table(
        ("name", "what happens"), [(f"`{name}`", load_scenario(name).description) for name in shipped_scenarios()]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _modifiers(modifiers: frozenset[str]) -> str:
    examples = {
        "after": "`after 8 s`",
        "every": "`every`",
        "on connection": "`on connection 2`",
        "on request": "`on request 2`",
        "times": "`times 1`",
    }
    return ", ".join(examples[name] for name in sorted(modifiers)) or "nothing"


def _seconds(seconds: float) -> str:
    return f"{round(seconds, 3):g} s"


def settings() -> str:
    """Write the table of settings."""
    return _settings(sorted(VARIABLES.values(), key=lambda each: each.name))


def probe_settings() -> str:
    """Write the table of what `switchboard probe` reads."""
    return _settings(PROBE_VARIABLES)


def _settings(variables: Sequence[Variable[object]]) -> str:
    rows = [
        (
            f"`{each.name}`",
            each.purpose.replace("|", "/"),
            "required" if each.default is None else _default(each.default),
        )
        for each in variables
    ]
    return _table(("setting", "what it is", "left out"), rows)


def _default(text: str) -> str:
    return f"`{text}`" if text else ""


BLOCKS: Mapping[str, Callable[[], str]] = {
    "silence": silence,
    "faults": faults,
    "scenarios": scenarios,
    "settings": settings,
    "probe_settings": probe_settings,
    "scenario_file": references.scenario_file,
    "record": references.record,
    "journal": references.journal,
}
