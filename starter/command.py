"""The command `switchboard new`."""

from pathlib import Path
from typing import Annotated

import typer


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
    from starter.project import CannotWrite, write_agent, write_project  # noqa: PLC0415 - as in cli.py

    if (folder is None) == (agent is None):
        typer.echo("Write either: switchboard new DIR, or in a project: switchboard new --agent NAME", err=True)
        raise typer.Exit(2)
    try:
        written = write_project(folder) if folder is not None else write_agent(agent or "", Path())
    except CannotWrite as exc:
        typer.echo(f"Nothing was written: {exc}", err=True)
        raise typer.Exit(2) from exc
    for path in written:
        typer.echo(f"wrote {path}")
    if folder is not None:
        typer.echo(f"\nNow:\n  cd {folder}\n  uv run pytest\n  uv run switchboard demo")
    else:
        typer.echo(f"\nNow tell the first agent's prompt when to offer {agent}, and write a scenario.")
