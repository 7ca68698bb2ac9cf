"""The commands of `switchboard` for people who test agents: replay, probe.

As in `cli.py`, each command imports what it needs when it is run.
"""
# ruff: noqa: PLC0415 - see above

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from settings import SettingsError, environment

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def _fail(message: str, status: int = 2) -> NoReturn:
    err.print(message, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(status)


def replay(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A call's SID, as in RECORDINGS_DIR; or its folder, or its journal.")
    ],
    roster: Annotated[
        str, typer.Option("--agents", metavar="SOURCE", help="The agents; the shipped ones if unset.")
    ] = "",
    anonymise: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its journal without names and numbers, and play that.")
    ] = None,
) -> None:
    """Play a recorded call again, in memory, and say what differs."""
    from agents.roster import RosterError
    from testkit.recording import ReplayRefused
    from testkit.replay_command import replay_call

    try:
        lines, is_same = replay_call(name, roster, anonymise, environment())
    except (ReplayRefused, RosterError, SettingsError) as exc:
        _fail(str(exc))
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(0 if is_same else 1)
