"""The commands of `switchboard` for people who write agents and test them: new, replay, probe.

As in `cli.py`, each command imports what it needs when it is run.
"""
# ruff: noqa: PLC0415 - see above

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli_shared import err, fail, print_lines, run_or_fail
from setting_reader import SettingsError
from settings import environment


def new(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A new folder; its name is the package's.", show_default=False),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="In a project: write one more agent.")
    ] = None,
) -> None:
    """Write a small project of your own: two agents, a function, a scenario, tests."""
    from starter.project import CannotWrite, write_agent, write_project

    if (folder is None) == (agent is None):
        fail("Write either: switchboard new DIR, or in a project: switchboard new --agent NAME", 2)
    write = partial(write_project, folder) if folder is not None else partial(write_agent, agent or "", Path())
    written = run_or_fail(write, CannotWrite, says="Nothing was written: {}", status=2)
    print_lines(*(f"wrote {path}" for path in written))
    if folder is not None:
        print_lines(f"\nNow:\n  cd {folder}\n  uv run pytest\n  uv run switchboard demo")
    else:
        print_lines(f"\nNow tell the first agent's prompt when to offer {agent}, and write a scenario.")


def replay(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A call's SID, as in RECORDINGS_DIR; or its folder, or its journal.")
    ],
    anonymise: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its journal without names and numbers, and play that.")
    ] = None,
) -> None:
    """Play a recorded call again, in memory, and say what differs."""
    from agents.roster import RosterError
    from testkit.recording import ReplayRefused
    from testkit.replay import replay_call

    play, problems = partial(replay_call, name, anonymise), (ReplayRefused, RosterError, SettingsError)
    lines, is_same = run_or_fail(lambda: play(environment()), *problems, status=2)
    print_lines(*lines)
    raise typer.Exit(0 if is_same else 1)


def probe(  # noqa: PLR0917 - one for each option
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", help="A TOML file of cases; may be repeated. The shipped agents have some."),
    ] = None,
    model: Annotated[str, typer.Option(help="LLM model; PROBE_MODEL if unset.")] = "",
    runs: Annotated[int, typer.Option(min=1, max=100, help="Answers to each case: k of pass^k.")] = 5,
    cassettes: Annotated[Path, typer.Option(help="Folder in which answers are kept.")] = Path("cassettes"),
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing: judge what is kept, as CI does.")] = False,
    price: Annotated[
        tuple[float, float] | None, typer.Option(metavar="IN OUT", help="Price of a million tokens, in and out.")
    ] = None,
) -> None:
    """Ask an LLM (PROBE_URL) whether it does what the prompts say, and count how surely."""
    from agents.roster import RosterError
    from simulators.toml_reader import ScenarioError
    from testkit.probe.asking import ProbeError
    from testkit.probe.cassettes import CassetteError
    from testkit.probe.command import Probe, probe_agents

    asked = Probe(tuple(cases or ()), model, runs, cassettes, offline, price)
    expected = (ProbeError, RosterError, SettingsError, ScenarioError, CassetteError)
    tell = partial(err.print, markup=False, soft_wrap=True)
    lines, is_good = run_or_fail(lambda: probe_agents(asked, environment(), tell), *expected, status=2)
    print_lines(*lines)
    raise typer.Exit(0 if is_good else 1)
