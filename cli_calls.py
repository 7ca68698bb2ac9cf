"""The commands of `switchboard` that ask a running server about its calls: call, calls, show."""
# ruff: noqa: PLC0415 - as in cli.py

from collections.abc import Mapping, Sequence
from typing import Annotated

import httpx
import typer

from actors.policy import OnMachine
from cli_shared import JsonOption, ServerOption, ask_server, fail, out, print_json, print_lines, run_or_fail
from store.records import FAILED, UNANSWERED
from web.clients.operator import Operator, Shown


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
    if as_json:
        print_json(shown)
        return
    run_or_fail(lambda: print_lines(*lines(shown)), RecordError)
