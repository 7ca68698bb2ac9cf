"""The commands of `switchboard` that ask a running server about its calls, and act on those that go on."""
# ruff: noqa: PLC0415 - as in cli.py

import getpass
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import httpx
import trio
import typer
from rich.live import Live
from rich.table import Table

from actors.policy import OnMachine
from cli_shared import (
    JsonOption,
    ServerOption,
    ask_server,
    fail,
    out,
    plain,
    print_json,
    print_lines,
    run_or_fail,
    text_in,
)
from store.records import FAILED, UNANSWERED
from web.clients.operator import Operator, Shown

REFRESH_SECONDS = 1.0
COMMAND_SECONDS = 70.0
"""For a command: the server answers within a minute."""

NameArgument = Annotated[str, typer.Argument(metavar="ID", help="A call's id or SID, as `switchboard live` lists it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; for the next one to have the call.")]
NotesOption = Annotated[str, typer.Option("--notes", help="What else they should know.")]


def _context(pairs: Sequence[str]) -> Mapping[str, str]:
    context = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(f'--about {pair} is not NAME=VALUE: --about name=John --about need="retirement planning"', 2)
        context[name.strip()] = value.strip()
    return context


async def follow_call(
    operator: Operator, number: str | None, context: Mapping[str, str], options: Mapping[str, object]
) -> int:
    """Order a call, print how it goes until it is over, and return the status to end with: 1 after any fault."""
    placed = await operator.place(number, context, **options)
    print_lines(_ordered(placed))
    shown: Shown = placed
    async for shown in operator.follow(str(placed["id"])):
        print_lines(f"  {shown['status']}")
    return _print_end(shown)


def _ordered(placed: Shown) -> str:
    if placed.get("starts_in"):
        return f"Ordered {placed['id']}; it is placed in {placed['starts_in']} s"
    if placed.get("in_doubt"):
        return f"Ordered {placed['id']}: {placed['in_doubt']}"
    return f"Placed {placed['call_sid']}"


def _print_end(shown: Shown) -> int:
    record = shown.get("record")
    if not isinstance(record, Mapping):
        print_lines("Nobody spoke with an agent; there is no record.")
        return 1
    if record["outcome"] in UNANSWERED:
        print_lines(f"{record['outcome']}: {record['why']}")
        return 1
    agents = ", ".join(str(period["agent"]) for period in record["agents"])
    print_lines(f"{record['outcome']} after {float(record['duration']):.0f} s; agents: {agents or 'none'}")
    for turn in record["transcript"]:
        print_lines(f"  {float(turn['at']):7.1f}  {turn['speaker']}: {turn['text']}")
    return 1 if record["outcome"] in FAILED else 0


def call(  # noqa: PLR0917 - one for each option
    number: Annotated[str | None, typer.Argument(metavar="[NUMBER]", help="E.164; LEAD_PHONE_NUMBER if unset.")] = None,
    server: ServerOption = None,
    about: Annotated[
        list[str] | None, typer.Option("--about", metavar="NAME=VALUE", help="What is known: name, need, location, …")
    ] = None,
    machine: Annotated[
        OnMachine | None, typer.Option(help="What to do about answering machines; as the settings say if unset.")
    ] = None,
    time_limit: Annotated[int | None, typer.Option(metavar="SECONDS", help="The longest it may take.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Have Twilio record it, each side on its own channel.")
    ] = False,
) -> None:
    """Call somebody, and tell how it goes until the call is over; exit with 1 if a fault ended it."""
    options = {
        "machine_detection": machine.value if machine is not None else None,
        "time_limit": time_limit,
        "record": record or None,
    }
    context = _context(about or ())
    raise typer.Exit(ask_server(server, lambda operator: follow_call(operator, number, context, options)))


def calls(
    server: ServerOption = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many calls.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List live and recent calls."""
    from web.showing import call_lines

    async def recent(operator: Operator) -> tuple[httpx.URL, Sequence[Shown]]:
        return operator.http.base_url, await operator.listed("calls", "calls", {"limit": str(limit)})

    address, shown = ask_server(server, recent)
    if as_json:
        print_json(shown)
        return
    width = out.width if out.is_terminal else None
    print_lines(*(call_lines(shown, width) if shown else [f"No calls known to the worker at {address}."]))


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="A call's id or SID, as `switchboard calls` lists it.")],
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one call: its agents, handoffs, Briefs, functions, facts, and every word."""
    from store.records import RecordError
    from web.showing import lines

    shown = ask_server(server, lambda operator: operator.ask("GET", "calls", name))
    run_or_fail(lambda: print_json(shown) if as_json else print_lines(*lines(shown)), RecordError)


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
        out.width = 2000  # a call is one line, to be searched for
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


COMMANDS = (call, calls, show, live, say, whisper, prompt, handoff, restart, transfer, take_over, give_back, hang_up)
