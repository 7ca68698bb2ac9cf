"""The commands of `switchboard` for running calls: live, say, whisper, handoff and others."""
# ruff: noqa: PLC0415 - as in cli.py

import getpass
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.live import Live
from rich.table import Table

from cli_shared import JsonOption, ServerOption, ask_server, out, plain, print_json, print_lines, text_in
from web.clients.operator import Operator, Shown

REFRESH_SECONDS = 1.0
COMMAND_SECONDS = 70.0
"""For a command: the server answers within a minute."""

NameArgument = Annotated[str, typer.Argument(metavar="ID", help="A call's id or SID, as `switchboard live` lists it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; for the next one to have the call.")]
NotesOption = Annotated[str, typer.Option("--notes", help="What else they should know.")]


def live(
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the calls that go on: the agent on the floor, for how long, and the last words. Ctrl-C ends it.

    Where it does not print to a terminal, it prints them once.
    """
    with suppress(KeyboardInterrupt):
        ask_server(server, lambda operator: _watch(operator, as_json))


async def _live(operator: Operator) -> Sequence[Shown]:
    return await operator.listed("calls", "calls", {"live": "yes", "limit": "500"})


async def _watch(operator: Operator, as_json: bool) -> None:
    calls = await _live(operator)
    if as_json:
        print_json(calls)
    elif not (out.is_terminal and sys.stdout.isatty()):
        out.print(_table(calls))
    else:
        with Live(_table(calls), console=out, auto_refresh=False) as shown:
            while True:
                await trio.sleep(REFRESH_SECONDS)
                shown.update(_table(await _live(operator)), refresh=True)


def _table(calls: Sequence[Shown]) -> Table:
    """Write the calls as a table, their numbers masked; without a call, its title says so."""
    from web.showing import live_row

    table = Table(title=None if calls else "No call goes on.", box=None, pad_edge=False)
    for heading, is_right in (("call", False), ("caller", False), ("floor", False), ("s", True), ("last words", False)):
        table.add_column(heading, justify="right" if is_right else "left", overflow="fold")
    for call in calls:
        table.add_row(*map(plain, live_row(call)))
    return table


def _command(name: str, command: str, server: str | None, **fields: str) -> None:
    """Give a call a command, print what became of it, and end with 1 if it was not done."""
    given = {field: text for field, text in {**fields, "by": _user()}.items() if text}
    answer = ask_server(
        server, lambda operator: operator.ask("POST", "calls", name, command, content=given, within=COMMAND_SECONDS)
    )
    print_lines(f"{answer['outcome']}: {answer['why']}" if answer.get("why") else str(answer["outcome"]))
    raise typer.Exit(0 if answer["outcome"] == "done" else 1)


def _user() -> str:
    """Return who runs this command; nothing for a user without a name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def say(
    name: NameArgument,
    text: Annotated[str, typer.Argument(help="The sentence.")],
    server: ServerOption = None,
) -> None:
    """Have the agent on a call say a sentence, in its own voice, in the next pause."""
    _command(name, "say", server, text=text)


def whisper(
    name: NameArgument,
    text: Annotated[str, typer.Argument(help="The fact.")],
    server: ServerOption = None,
) -> None:
    """Tell the agents of a call a fact, which the caller does not hear."""
    _command(name, "whisper", server, text=text)


def prompt(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The prompt, a text file.")],
    server: ServerOption = None,
) -> None:
    """Give the agent on a call another prompt, for the rest of the call."""
    _command(name, "prompt", server, text=text_in(file))


def handoff(  # noqa: PLR0917 - one for each option
    name: NameArgument,
    to: Annotated[str, typer.Argument(metavar="AGENT", help="An agent of the roster.")],
    reason: ReasonOption = "",
    notes: NotesOption = "",
    how: Annotated[str, typer.Option(help="hard or soft; as the roster has it if unset.")] = "",
    server: ServerOption = None,
) -> None:
    """Hand a call to another agent."""
    _command(name, "handoff", server, to=to, reason=reason, notes=notes, how=how)


def restart(name: NameArgument, server: ServerOption = None) -> None:
    """Open another session for the agent on a call; it goes on with what was said."""
    _command(name, "restart", server)


def transfer(
    name: NameArgument,
    number: Annotated[
        str, typer.Argument(metavar="[NUMBER]", help="E.164; TRANSFER_PHONE_NUMBER of the server if unset.")
    ] = "",
    reason: ReasonOption = "",
    notes: NotesOption = "",
    server: ServerOption = None,
) -> None:
    """Put the caller through to a person; the caller hears so first."""
    _command(name, "transfer", server, number=number, reason=reason, notes=notes)


def take_over(
    name: NameArgument,
    number: Annotated[
        str, typer.Argument(metavar="[NUMBER]", help="Your telephone, E.164; TRANSFER_PHONE_NUMBER if unset.")
    ] = "",
    server: ServerOption = None,
) -> None:
    """Take a call over with your telephone; the agent has it back when you hang up."""
    _command(name, "take-over", server, number=number)


def give_back(name: NameArgument, server: ServerOption = None) -> None:
    """Give a call that was taken over back to its agent."""
    _command(name, "give-back", server)


def hang_up(
    name: NameArgument,
    goodbye: Annotated[bool, typer.Option("--goodbye", help="After a closing sentence in the agent's voice.")] = False,
    server: ServerOption = None,
) -> None:
    """Hang a call up, at once or after a goodbye; an order that waits is called off."""
    query = {"goodbye": "yes"} if goodbye else None
    shown = ask_server(server, lambda operator: operator.ask("DELETE", "calls", name, query=query))
    print_lines(str(shown["status"]))


COMMANDS = (live, say, whisper, prompt, handoff, restart, transfer, take_over, give_back, hang_up)
