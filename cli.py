"""The `switchboard` command: serve, call, calls, show, check, simulate, demo.

Each command reads what it needs, calls one coroutine, prints, and says with its exit status how it went: 0 well, 1 not,
2 asked wrongly. Commands that serve import half of this program; they import it when they are run, so that asking for
a list of calls does not take two seconds.
"""
# ruff: noqa: PLC0415 - see above: measured, `switchboard calls` starts in a third of the time

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import httpx
import trio
import typer
from rich.console import Console
from rich.table import Table

from setting_values import http_url
from settings import (
    API_TOKEN,
    LEAD_SERVER_EXTERNAL_URL,
    LEAD_SERVER_PORT,
    Settings,
    SettingsError,
    environment,
    read_one,
)
from store.records import UNANSWERED
from web.logs import configure_logs, mask
from web.operator import Operator, OperatorError, Shown

if TYPE_CHECKING:
    from simulators.faults import Fault
    from simulators.scenario import Scenario

commands = typer.Typer(
    name="switchboard",
    help="A phone voice-agent server: callers on Twilio, agents on Deepgram, a call each in one trio nursery.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The switchboard to ask; LEAD_SERVER_EXTERNAL_URL if unset."),
]
ScenarioOption = Annotated[str, typer.Option(help="A shipped scenario's name, or a TOML file.")]
FaultOption = Annotated[
    list[str] | None, typer.Option("--fault", metavar="LINE", help="Such as 'deepgram: drop after 8 s'.")
]

_LAST_PORT = 65535
_TABLE_WIDTH = 120


class OnMachine(Enum):
    """What to do when an answering machine picks up."""

    OFF = "off"
    HANG_UP = "hang_up"
    VOICEMAIL = "voicemail"


class Service(Enum):
    """A service that can be simulated."""

    DEEPGRAM = "deepgram"
    TWILIO = "twilio"
    GROQ = "groq"


def _fail(message: str, status: int = 1) -> NoReturn:
    err.print(message, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(status)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _settings() -> Settings:
    try:
        return Settings.from_environ(environment())
    except SettingsError as exc:
        _fail(str(exc), 2)


def _client(server: str | None) -> httpx.AsyncClient:
    """Return a client of the server that is meant."""
    try:
        token = read_one(environment(), API_TOKEN)
        url = http_url(server) if server else _usual_server(token)
    except SettingsError as exc:
        _fail(str(exc), 2)
    except ValueError as wanted:
        _fail(f"--server {server} is not {wanted}.", 2)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30)


def _usual_server(token: str | None) -> str:
    """Return where the server of these settings is; without a token, only the one on this machine serves us."""
    found = environment()
    if token and found.get(LEAD_SERVER_EXTERNAL_URL.name, "").strip():
        return read_one(found, LEAD_SERVER_EXTERNAL_URL)
    return f"http://127.0.0.1:{read_one(found, LEAD_SERVER_PORT)}"


@commands.command()
def serve() -> None:
    """Serve calls until SIGTERM or Ctrl-C, then let the running ones end."""
    from agents.roster import RosterError
    from web.serving import serve as serve_calls

    settings = _settings()
    configure_logs(settings.secrets())

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            addresses: Sequence[str] = await nursery.start(partial(serve_calls, settings))
            err.print(f"Listening on {', '.join(addresses)}; Twilio comes to {settings.lead_server_external_url}")

    problem = ""
    try:
        trio.run(run)
    except* (OSError, RosterError) as group:
        problem = f"Cannot serve: {_first(group)}"
    if problem:
        _fail(problem)


def _context(pairs: Sequence[str]) -> Mapping[str, str]:
    context = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            _fail(f'--about {pair} is not NAME=VALUE: --about name=John --about need="retirement planning"', 2)
        context[name.strip()] = value.strip()
    return context


async def _follow_call(
    client: httpx.AsyncClient, number: str | None, context: Mapping[str, str], options: Mapping[str, object]
) -> int:
    async with client:
        operator = Operator(client)
        placed = await operator.place(number, context, **options)
        out.print(_ordered(placed))
        shown: Shown = placed
        async for shown in operator.follow(str(placed["id"])):
            out.print(f"  {shown['status']}")
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
        out.print("Nobody spoke with an agent; there is no record.")
        return 1
    if record["outcome"] in UNANSWERED:
        out.print(f"{record['outcome']}: {record['why']}", markup=False, soft_wrap=True)
        return 1
    agents = ", ".join(str(stint["agent"]) for stint in record["agents"])
    out.print(f"{record['outcome']} after {float(record['duration']):.0f} s; agents: {agents or 'none'}")
    for turn in record["transcript"]:
        out.print(f"  {float(turn['at']):7.1f}  {turn['speaker']}: {turn['text']}", markup=False, soft_wrap=True)
    return 0


@commands.command()
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
    """Call somebody, and tell how it goes until the call is over."""
    options = {
        "machine_detection": machine.value if machine is not None else None,
        "time_limit": time_limit,
        "record": record or None,
    }
    try:
        status = trio.run(_follow_call, _client(server), number, _context(about or ()), options)
    except OperatorError as exc:
        _fail(str(exc))
    raise typer.Exit(status)


async def _recent(client: httpx.AsyncClient, limit: int) -> Sequence[Shown]:
    async with client:
        return await Operator(client).recent(limit)


def _row(one: Shown) -> Sequence[str]:
    started = str(one.get("started_at") or one.get("created_at") or "")
    duration, stints = one.get("duration"), one.get("agents")
    arrow = "->" if one["direction"] == "outbound" else "<-"
    return (
        started[5:16].replace("T", " "),
        str(one.get("call_sid") or one.get("id")),
        f"{arrow} {mask(str(one['caller'])) or 'unknown'}",
        str(one.get("outcome") or one["status"]),
        f"{duration:.0f}" if isinstance(duration, int | float) else "",
        ", ".join(str(stint["agent"]) for stint in stints) if isinstance(stints, list) else "",
    )


@commands.command()
def calls(
    server: ServerOption = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 20,
) -> None:
    """List live and recent calls."""
    try:
        shown = trio.run(_recent, _client(server), limit)
    except OperatorError as exc:
        _fail(str(exc))
    table = Table(box=None)
    table.add_column("started", no_wrap=True, min_width=11)
    table.add_column("call", no_wrap=True, min_width=34)
    for heading in ("caller", "state", "seconds", "agents"):
        table.add_column(heading, no_wrap=True)
    for one in shown:
        table.add_row(*_row(one))
    # a line that is too long for a terminal goes on below, and for a pipe none is: what is cut off cannot be read
    wide = Console(highlight=False, width=max(out.width, _TABLE_WIDTH))
    wide.print(table if shown else "No calls yet.", crop=False)


async def _one(client: httpx.AsyncClient, name: str) -> Shown:
    async with client:
        return await Operator(client).show(name)


@commands.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="A call's id or SID, as `switchboard calls` lists it.")],
    server: ServerOption = None,
) -> None:
    """Show one call: its agents, handoffs, functions, and every word."""
    from store.records import RecordError
    from web.showing import lines

    try:
        for line in lines(trio.run(_one, _client(server), name)):
            out.print(line, markup=False, soft_wrap=True)
    except (OperatorError, RecordError) as exc:
        _fail(str(exc))


async def _simulate(service: Service, port: int, scenario_name: str, lines: Sequence[str]) -> None:
    from simulators.faults import parse_faults
    from simulators.scenario import load_scenario

    scenario = load_scenario(scenario_name)
    faults = (*scenario.faults, *parse_faults(lines))
    start = {Service.DEEPGRAM: _start_deepgram, Service.TWILIO: _start_twilio, Service.GROQ: _start_groq}[service]
    async with trio.open_nursery() as nursery:
        await start(nursery, scenario, port, faults)


async def _start_deepgram(nursery: trio.Nursery, scenario: "Scenario", port: int, faults: "tuple[Fault, ...]") -> None:
    from simulators.deepgram import serve_deepgram, serve_speak
    from simulators.faults import FaultPlan

    at = await nursery.start(partial(serve_deepgram, scenario, port=port, faults=FaultPlan(faults)))
    out.print(f"DEEPGRAM_AGENT_URL={at.url}")
    bound = await nursery.start(partial(serve_speak, port=port + 1 if 0 < port < _LAST_PORT else 0))
    out.print(f"DEEPGRAM_SPEAK_URL=http://127.0.0.1:{bound}/v1/speak")


async def _start_twilio(nursery: trio.Nursery, scenario: "Scenario", port: int, faults: "tuple[Fault, ...]") -> None:
    from simulators.twilio import TwilioKnobs, credentials_from, serve_twilio

    environ = environment()
    sid, token = credentials_from(environ)
    origin = environ.get("LEAD_SERVER_EXTERNAL_URL", "").rstrip("/")
    knobs = TwilioKnobs(voice_url=f"{origin}/twilio/voice" if origin else "")
    twilio = partial(serve_twilio, scenario, account_sid=sid, auth_token=token, faults=faults, knobs=knobs)
    bound = await nursery.start(partial(twilio, port=port))
    out.print(f"TWILIO_API_URL=http://127.0.0.1:{bound}\nTWILIO_ACCOUNT_SID={sid}")


async def _start_groq(nursery: trio.Nursery, _scenario: "Scenario", port: int, faults: "tuple[Fault, ...]") -> None:
    from simulators.groq import serve_groq

    bound = await nursery.start(partial(serve_groq, port=port, faults=faults))
    out.print(f"GROQ_BASE_URL=http://127.0.0.1:{bound}")


@commands.command()
def simulate(
    service: Annotated[Service, typer.Argument(help="What to simulate.")],
    port: Annotated[
        int, typer.Option(min=0, max=_LAST_PORT, help="0 takes a free one; Deepgram takes the next one too.")
    ] = 0,
    scenario: ScenarioOption = "sale",
    fault: FaultOption = None,
) -> None:
    """Simulate Deepgram, Twilio or Groq on a port, until Ctrl-C; prints the settings that lead there."""
    from simulators.faults import FaultError
    from simulators.scenario import ScenarioError

    problem, status = "", 0
    try:
        trio.run(_simulate, service, port, scenario, tuple(fault or ()))
    except* (FaultError, ScenarioError) as group:
        problem, status = str(_first(group)), 2
    except* OSError as group:
        problem, status = f"Cannot listen on port {port}: {_first(group)}", 1
    except* KeyboardInterrupt:
        err.print("stopped")
    if problem:
        _fail(problem, status)


@commands.command()
def check() -> None:
    """Try every line in and out of the switchboard, without placing a call."""
    from agents.roster import RosterError
    from web.checkup import Finding, check_everything

    findings: Sequence[Finding] = ()
    problem = ""
    try:
        findings = trio.run(check_everything, _settings())
    except* RosterError as group:
        problem = f"Cannot check: {_first(group)}"
    if problem:
        _fail(problem)
    for finding in findings:
        out.print(
            f"{'ok ' if finding.well else 'NOT'}  {finding.subject}: {finding.says}", markup=False, soft_wrap=True
        )
        if finding.fix:
            out.print(f"       {finding.fix}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)


@commands.command()
def demo(
    scenario: ScenarioOption = "sale",
    speed: Annotated[
        float, typer.Option(help="So many times real time.")
    ] = 8.0,  # as demo.options says; importing it here would cost every command its start-up
    folder: Annotated[Path, typer.Option("--out", help="Where the recording and the picture go.")] = Path(
        "switchboard-demo"
    ),
    fault: FaultOption = None,
) -> None:
    """Hear a whole call with no account, no key and no network."""
    from demo.options import DemoOptions
    from demo.run import main as run_demo

    raise typer.Exit(run_demo(DemoOptions(scenario=scenario, speed=speed, out=folder, fault=tuple(fault or ()))))


def main() -> None:
    """Run the command line."""
    commands()


if __name__ == "__main__":
    main()
