"""The commands of `switchboard` for campaigns and the do-not-call list: campaign, do-not-call."""

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated, cast

import orjson
import trio
import typer
from rich.live import Live
from rich.text import Text

from actors.policy import OnMachine
from cli_shared import JsonOption, ServerOption, ask_server, fail, out, plain, print_json, print_lines, saving, text_in
from protocol.fields import counted
from web.clients.operator import Operator, Shown, time_left

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The campaign's name.")]
NumberArgument = Annotated[str, typer.Argument(metavar="NUMBER", help="E.164: + and 7 to 15 digits.")]
FOLLOW_SECONDS = 2.0
_MINUTES = {"m": 1, "h": 60, "d": 1440}

campaign = typer.Typer(help="Call many numbers of a CSV file, by rules.", no_args_is_help=True)
do_not_call = typer.Typer(help="The numbers that no order calls.", no_args_is_help=True)


class ExportFormat(Enum):
    CSV = "csv"
    JSONL = "jsonl"


def _retry(rules: Sequence[str]) -> Mapping[str, object] | None:
    """Read rules such as busy=2x15m."""
    retry = {}
    for rule in rules:
        found = re.fullmatch(r"([a-z_]+)=(\d+)(?:x(\d+)([mhd]))?", rule.strip())
        if found is None or (found[3] is None and found[2] != "0"):
            fail(f"--retry {rule} is not OUTCOME=TIMESxTIME: --retry busy=2x15m --retry machine=1x4h", 2)
        minutes = int(found[3]) * _MINUTES[found[4]] if found[3] else 1
        retry[found[1]] = {"times": int(found[2]), "minutes": minutes}
    return retry or None


@campaign.command()
def create(  # noqa: PLR0917 - one for each option
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV: a column to, and name, need, … as columns.")],
    server: ServerOption = None,
    hours: Annotated[str | None, typer.Option(help="By the callee's clock; 09:00-20:00 if unset.")] = None,
    days: Annotated[str | None, typer.Option(help="Days of the week; mon-fri if unset.")] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="busy=2x15m: two more calls, each 15 minutes later. Also no_answer, machine, voicemail, failed; m, h"
            " or d. Replaces the usual rules.",
        ),
    ] = None,
    most_calls: Annotated[int | None, typer.Option(help="Calls to one number; 3 if unset.")] = None,
    per_minute: Annotated[
        float | None, typer.Option(min=0.01, max=6000, help="Calls begun in a minute; 60 if unset.")
    ] = None,
    at_once: Annotated[int | None, typer.Option(help="Calls at once; half of MAX_CALLS if unset.")] = None,
    machine: Annotated[OnMachine | None, typer.Option(help="What to do about answering machines.")] = None,
    time_limit: Annotated[int | None, typer.Option(metavar="SECONDS", help="The longest a call may take.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Have Twilio record the calls.")] = False,
    paused: Annotated[bool, typer.Option("--paused", help="Do not begin before `campaign resume`.")] = False,
) -> None:
    """Make a campaign of a file, and begin to call: all of its numbers are taken, or none."""
    given: dict[str, object] = {"name": name, "csv": text_in(file), "hours": hours, "days": days}
    given |= {"retry": _retry(retry or ()), "most_calls": most_calls, "per_minute": per_minute, "at_once": at_once}
    given |= {"machine_detection": machine.value if machine is not None else None, "time_limit": time_limit}
    given |= {"record": record or None, "paused": paused or None}
    written = {key: value for key, value in given.items() if value is not None}
    _print(ask_server(server, lambda operator: operator.ask("POST", "campaigns", content=written)))


@campaign.command("list")
def list_campaigns(server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the campaigns, newest first."""
    shown = ask_server(server, lambda operator: operator.listed("campaigns", "campaigns"))
    if as_json:
        print_json(shown)
        return
    for one in shown:
        _print(one)
    if not shown:
        out.print("No campaigns.")


@campaign.command()
def status(
    name: NameArgument,
    server: ServerOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on showing it until it is done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how a campaign goes: a bar, the time left at its pace, and outcomes."""
    if follow:
        ask_server(server, lambda operator: _follow(operator, name, as_json))
        return
    shown = ask_server(server, lambda operator: operator.ask("GET", "campaigns", name))
    (print_json if as_json else _print)(shown)


async def _follow(operator: Operator, name: str, as_json: bool) -> None:
    """Redraw the bar, or print a line of JSON, until every number is done."""
    with nullcontext() if as_json else Live(console=out, auto_refresh=False) as live:
        while True:
            shown = await operator.ask("GET", "campaigns", name)
            if live is None:
                print_lines(orjson.dumps(shown).decode())
            else:
                live.update(Text(plain("\n".join(lines_of(shown)))), refresh=True)
            progress = cast("Mapping[str, int]", shown["progress"])
            if progress["done"] == progress["numbers"]:
                return
            await trio.sleep(FOLLOW_SECONDS)


def _turned(command: str, name: str, server: str | None) -> None:
    _print(ask_server(server, lambda operator: operator.ask("POST", "campaigns", name, command)))


@campaign.command()
def pause(name: NameArgument, server: ServerOption = None) -> None:
    """Let no further call begin; those under way go on."""
    _turned("pause", name, server)


@campaign.command()
def resume(name: NameArgument, server: ServerOption = None) -> None:
    """Go on calling."""
    _turned("resume", name, server)


@campaign.command()
def cancel(name: NameArgument, server: ServerOption = None) -> None:
    """Call off what waits, for good; calls under way go on."""
    _turned("cancel", name, server)


@campaign.command("export")
def export_results(
    name: NameArgument,
    server: ServerOption = None,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="csv: the last call of each number; jsonl: whole records.")
    ] = ExportFormat.CSV,
    to: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Printed if unset.")] = None,
) -> None:
    """Give the results: a line for each number, with records and extracted fields."""
    query = {"format": form.value}
    text = ask_server(server, lambda operator: operator.send("GET", "campaigns", name, "export", query=query)).content
    if to is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    with saving(to):
        to.write_bytes(text)
    print_lines(f"Wrote {to}")


@do_not_call.command()
def add(
    number: NumberArgument,
    server: ServerOption = None,
    why: Annotated[str, typer.Option(help="Kept with the number.")] = "",
) -> None:
    """Put a number on the list: no order calls it from now on."""
    ask_server(server, lambda operator: operator.send("PUT", "do-not-call", number, query={"why": why}))
    print_lines(f"{number} is not called any more.")


@do_not_call.command()
def remove(number: NumberArgument, server: ServerOption = None) -> None:
    """Take a number from the list."""
    ask_server(server, lambda operator: operator.send("DELETE", "do-not-call", number))
    print_lines(f"{number} may be called.")


@do_not_call.command("list")
def list_numbers(server: ServerOption = None) -> None:
    """List the numbers, in order."""
    for entry in ask_server(server, lambda operator: operator.refused_numbers()):
        print_lines(f"{entry['number']}  {entry['why']}".rstrip())


def lines_of(shown: Shown, width: int = 30) -> list[str]:
    """Return the printed lines of a campaign."""
    progress = cast("Mapping[str, int]", shown["progress"])
    filled = round(width * progress["done"] / max(progress["numbers"], 1))
    bar = "█" * filled + "░" * (width - filled)
    head = f"{shown['name']}  {shown['state']}" + (f": {shown['why']}" if shown.get("why") else "")
    numbers, calls = counted(progress["numbers"], "number"), counted(progress["calls"], "call")
    counts = f"{bar} {progress['done']} of {numbers}, {calls}"
    if progress["calling"]:
        counts += f", {progress['calling']} under way"
    eta = cast("float | None", progress.get("eta_seconds"))
    left = [f"About {time_left(eta)} of calls left, without the hours in which nobody is called."] if eta else []
    outcomes = cast("Mapping[str, int]", progress["outcomes"])
    told = [", ".join(f"{outcome} {count}" for outcome, count in outcomes.items())] if outcomes else []
    return [head, counts, *left, *told]


def _print(shown: Shown) -> None:
    print_lines(*lines_of(shown))
