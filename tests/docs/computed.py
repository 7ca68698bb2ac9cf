"""What the pages say in numbers and lists, worked out from the code."""

from collections.abc import Callable, Mapping, Sequence

from actors.policy import CallPolicy
from agents.functions import END_CONVERSATION
from simulators.fault_lines import FORMS
from simulators.scenario import load_scenario, shipped_scenarios

ENDLESS = 50
"""A budget that is not spent by so many restarts never is."""


def until_budget_is_spent(policy: CallPolicy) -> float | None:
    """Return the longest time from a crash until no restart is left; None if that never comes.

    Every attempt takes as long as it may, and so does every delay before one.
    """
    restarts, now = policy.restarts, 0.0
    spent: list[float] = []
    for _ in range(ENDLESS):
        spent = [at for at in spent if now - at <= restarts.period]
        if len(spent) >= restarts.intensity:
            return now
        delay = min(restarts.longest_delay, restarts.first_delay * 2 ** len(spent))
        spent.append(now)
        now += delay + policy.session_start
    return None


def restart_sum(policy: CallPolicy) -> float:
    """Return what the restarts of one budget last at most, were the period no matter."""
    restarts = policy.restarts
    delays = [restarts.first_delay * 2.0**nth for nth in range(restarts.intensity)]
    return sum(min(restarts.longest_delay, delay) + policy.session_start for delay in delays)


def handoff_sum(policy: CallPolicy) -> float:
    """Return how long a handoff that fails keeps the caller waiting."""
    return policy.handoff_attempts * policy.handoff_start + (policy.handoff_attempts - 1) * policy.restarts.first_delay


def silence() -> str:
    """Write the table of silences."""
    policy = CallPolicy()
    spent, restarts = until_budget_is_spent(policy), policy.restarts
    apology = "no end, see below" if spent is None else _seconds(spent + policy.hang_up)
    unopened = "no end, see below" if spent is None else _seconds(policy.session_start + spent + policy.hang_up)
    rows = [
        ("the session on the floor is lost, one restart helps", "`restarts.first_delay` + `session_start`",
         _seconds(restarts.first_delay + policy.session_start)),
        ("... the last restart of the budget helps", "the same for each restart, the delay doubling",
         _seconds(restart_sum(policy))),
        ("... none helps; then the apology", "the line before + `hang_up`", apology),
        ("the first session of the call never starts; then the apology", "`session_start` + the line before", unopened),
        ("the service refuses for good (bad key, `INVALID_SETTINGS`); then the apology", "`hang_up`",
         _seconds(policy.hang_up)),
        ("a handoff fails; then the old agent goes on",
         "`handoff_attempts` × `handoff_start` + `restarts.first_delay` between two", _seconds(handoff_sum(policy))),
        ("... and the old session is lost meanwhile", "the line before + one restart",
         _seconds(handoff_sum(policy) + restarts.first_delay + policy.session_start)),
        ("the Brief does not come (part of the handoff's own time)", "`summary_deadline`",
         _seconds(policy.summary_deadline)),
        ("Deepgram has stopped reading, and every buffer between is full", "`send_stall`, then a restart",
         _seconds(policy.send_stall + restarts.first_delay + policy.session_start)),
        ("a function of the agent hangs", "its `deadline`, unless it has a shorter one",
         _seconds(END_CONVERSATION.deadline)),
        ("the agent ends the call and never says goodbye", "`silence_budget` + `hang_up`",
         _seconds(policy.silence_budget + policy.hang_up)),
        ("the goodbye was heard and its mark never comes back", "`goodbye_onset` + `goodbye_grace` + `hang_up`",
         _seconds(policy.goodbye_onset + policy.goodbye_grace + policy.hang_up)),
    ]  # fmt: skip
    return _table(("what happens", "the caller waits at most for", "with the defaults"), rows)


def faults() -> str:
    """Write the table of faults."""
    rows = [(f"`{form.target}: {form.example}`", _modifiers(form.modifiers)) for form in FORMS]
    return _table(("an example", "may also have"), rows)


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


BLOCKS: Mapping[str, Callable[[], str]] = {"silence": silence, "faults": faults, "scenarios": scenarios}
