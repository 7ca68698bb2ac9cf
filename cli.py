"""The `switchboard` command: serve, call, calls, show, live and its commands, check, simulate, demo, talk.

Each command reads what it needs, calls one coroutine, prints, and says with its exit status how it went: 0 well, 1 not,
2 asked wrongly. Commands that serve import half of this program; they import it when they are run, so that asking for
a list of calls does not take two seconds.
"""
# ruff: noqa: PLC0415 - see above: measured, `switchboard calls` starts in a third of the time

import io
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

_INTERRUPTED = 128 + 2
"""The status that a shell gives a program ended by Ctrl-C."""

try:
    import trio
    import typer
    from typer.core import TyperCommand

    from cli_calls import COMMANDS, follow_call
    from cli_campaigns import campaign, do_not_call
    from cli_people import export, forget, kept, migrate, webhooks
    from cli_shared import client_at, environment_here, err, fail, out, print_lines, run_or_fail, settings_here
    from cli_testing import new, probe, replay
    from model_settings import AGENTS
    from setting_reader import SettingsError, read_one
    from settings import Settings, environment
    from web.clients.operator import Operator, OperatorError
    from web.worker.logs import configure_logs
except KeyboardInterrupt:  # the imports take seconds on a busy machine
    sys.exit(_INTERRUPTED)

commands = typer.Typer(
    name="switchboard",
    help="A phone voice-agent server: callers on Twilio, agents on Deepgram, a call each in one trio nursery.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ScenarioOption = Annotated[str, typer.Option(help="A shipped scenario (listed below), or a TOML file.")]
OwnScenarioOption = Annotated[
    str, typer.Option(help="A shipped scenario (listed below), or a TOML file; the agents' own if unset.")
]
FaultOption = Annotated[
    list[str] | None, typer.Option("--fault", metavar="LINE", help="A fault, such as 'deepgram: drop after 8 s'.")
]

_LAST_PORT = 65535


class ListsScenarios(TyperCommand):
    """A command whose help ends with the lists of scenarios and faults."""

    @property
    def epilog(self) -> str | None:
        """Return the lists, read only when help is asked for."""
        from simulators.faults import FORMS
        from simulators.scenario import shipped_scenarios

        faults: dict[str, list[str]] = {}
        for form in FORMS:
            faults.setdefault(form.target, []).append(form.example)
        lists = [f"Faults of {target}: {'; '.join(examples)}." for target, examples in faults.items()]
        return "\n\n".join([f"Scenarios: {', '.join(shipped_scenarios())}.", *lists, "More: docs/simulators.md."])

    @epilog.setter
    def epilog(self, value: str | None) -> None:
        pass  # typer sets it from the decorator


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"switchboard {version('switchboard-voice')}")
        raise typer.Exit


@commands.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass  # the callback of the option does the work


@commands.command()
def serve(
    number: Annotated[
        str | None, typer.Argument(metavar="[NUMBER]", help="With --call: E.164; LEAD_PHONE_NUMBER if unset.")
    ] = None,
    call_too: Annotated[
        bool, typer.Option("--call", help="Call NUMBER as soon as the server listens, and follow the call.")
    ] = False,
) -> None:
    """Serve calls until SIGTERM or Ctrl-C, then let the running ones end."""
    from agents.roster import RosterError
    from web.serving import serve_calls

    if number is not None and not call_too:
        fail(f"To call {number}, write: switchboard serve --call {number}", 2)
    settings = settings_here()
    configure_logs(settings.secrets())

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            addresses: Sequence[str] = await nursery.start(partial(serve_calls, settings))
            with suppress(OSError):
                err.print(f"Listening on {', '.join(addresses)}; Twilio comes to {settings.lead_server_external_url}")
            if call_too:
                nursery.start_soon(_call_from_here, settings, addresses[0], number)

    run_or_fail(partial(trio.run, run), OSError, RosterError, says="Cannot serve: {}")


async def _call_from_here(settings: Settings, address: str, number: str | None) -> None:
    """Order a call from the server of this process and follow it; the server goes on, whatever becomes of that."""
    with suppress(OSError, SystemExit):  # nobody reads what is printed; by `SystemExit` rich tells of a pipe
        try:
            async with client_at(address, settings.api_token) as client:
                await follow_call(Operator(client), number, {}, {})
        except (OperatorError, OSError) as exc:
            err.print(str(exc), style="red", markup=False, soft_wrap=True)
        err.print("The server goes on; Ctrl-C ends it.")


@commands.command(cls=ListsScenarios)
def simulate(  # noqa: PLR0917 - one for each option
    service: Annotated[Literal["deepgram", "twilio", "groq"], typer.Argument(help="What to simulate.")],
    port: Annotated[
        int, typer.Option(min=0, max=_LAST_PORT, help="0 takes a free one; Deepgram takes the next one too.")
    ] = 0,
    scenario: ScenarioOption = "sale",
    fault: FaultOption = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve https and wss by a throw-away authority, and print its file.")
    ] = False,
    no_end_of_turn: Annotated[bool, typer.Option("--no-end-of-turn", help="Deepgram: send no EndOfTurn.")] = False,
    no_latency_reports: Annotated[
        bool, typer.Option("--no-latency-reports", help="Deepgram: send no LatencyReport.")
    ] = False,
    any_flux_version: Annotated[
        bool, typer.Option("--any-flux-version", help="Deepgram: take a Flux model without version v2.")
    ] = False,
    cancel_any_call: Annotated[
        bool, typer.Option("--cancel-any-call", help="Deepgram: a caller who speaks cancels deferred functions too.")
    ] = False,
    forget_on_update: Annotated[
        bool, typer.Option("--forget-on-update", help="Deepgram: UpdateThink forgets the conversation so far.")
    ] = False,
    no_force_end_turn: Annotated[
        bool, typer.Option("--no-force-end-turn", help="Deepgram: does not know ForceEndTurn, as older deployments.")
    ] = False,
    plaintext_streams: Annotated[
        bool, typer.Option("--plaintext-streams", help="Twilio: open wss:// streams as ws://.")
    ] = False,
    retire: Annotated[
        list[str] | None,
        typer.Option("--retire", metavar="MODEL", help="Deepgram, Groq: an LLM that is gone; may be repeated."),
    ] = None,
    offer: Annotated[
        list[str] | None,
        typer.Option("--offer", metavar="MODEL", help="Groq: an LLM besides those of today; may be repeated."),
    ] = None,
) -> None:
    """Simulate Deepgram, Twilio or Groq on a port, until Ctrl-C; prints the settings that lead there."""
    given = locals()  # `SimulateOptions` has the same names
    from simulators.command import SimulateError, SimulateOptions, serve_simulator, until_stopped
    from simulators.faults import FaultError
    from simulators.scenario import ScenarioError
    from simulators.speech import SpeechError
    from simulators.tls import TlsError

    serve = partial(serve_simulator, SimulateOptions(**given), environment_here(), partial(out.print, soft_wrap=True))
    cannot = f"Cannot serve on port {port}: {{}}"
    run = partial(run_or_fail, lambda: trio.run(until_stopped, serve), OSError, says=cannot)
    if run_or_fail(run, SimulateError, TlsError, FaultError, ScenarioError, SpeechError, status=2):
        err.print("stopped")


@commands.command()
def check() -> None:
    """Check every service in both directions, without placing a call."""
    from agents.roster import RosterError, roster_from
    from web.checkup import check_everything

    try:
        settings = settings_here()
    except typer.Exit:  # what is wrong with the agents is told along with it
        with suppress(SettingsError):
            names = read_one(environment(), AGENTS)
            run_or_fail(lambda: roster_from(names, human=True), RosterError, says="\nAnd the agents: {}", status=2)
        raise
    findings = run_or_fail(lambda: trio.run(check_everything, settings), RosterError, says="Cannot check: {}")
    for subject, finding in findings.items():
        print_lines(f"{'ok ' if finding.well else 'NOT'}  {subject}: {finding.says}")
        if finding.fix:
            print_lines(f"       {finding.fix}")
    raise typer.Exit(0 if all(finding.well for finding in findings.values()) else 1)


@commands.command(cls=ListsScenarios)
def demo(
    scenario: OwnScenarioOption = "",
    speed: Annotated[
        float, typer.Option(help="Playback speed at most, as a multiple of real time.")
    ] = 8.0,  # as demo.options says; importing it here would cost every command its start-up
    folder: Annotated[Path, typer.Option("--out", help="Where the recording and the picture go.")] = Path(
        "switchboard-demo"
    ),
    fault: FaultOption = None,
) -> None:
    """Hear a whole call with no account, no key and no network."""
    from demo import run
    from demo.options import DemoOptions

    raise typer.Exit(run.main(DemoOptions(scenario, speed, folder, tuple(fault or ()), environment_here())))


@commands.command(cls=ListsScenarios)
def talk(
    scenario: OwnScenarioOption = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=_LAST_PORT, help="LEAD_SERVER_PORT if unset, or a free one."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Talk to the agents in the browser: with DEEPGRAM_API_KEY by voice, without it by typing."""
    from demo.talk import TalkOptions, serve_talk

    raise typer.Exit(serve_talk(TalkOptions(scenario, port, browser)))


commands.add_typer(campaign, name="campaign")
commands.add_typer(do_not_call, name="do-not-call")
for command in (*COMMANDS, new, replay, probe, kept, export, forget, webhooks, migrate):
    commands.command()(command)


def main() -> None:
    """Run the command line.

    Without arguments, `switchboard serve` does not go through Typer, which reads them with pydantic: 8 MB in a process
    that lives for months.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name or a bar that its encoding does not have
    try:
        if sys.argv[1:] != ["serve"]:
            commands()
        else:
            serve()
    except OSError as exc:  # most often a disk or a terminal that takes no more of what is printed
        sys.stdout = None  # or Python would try again when it ends
        err.print(f"Cannot go on: {exc.strerror or exc}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:  # before there was anything to end in order
        sys.exit(_INTERRUPTED)
    except BaseExceptionGroup as group:  # the same out of a nursery, or nobody reads what is printed any more
        if group.subgroup((KeyboardInterrupt, SystemExit)) is None:
            raise
        sys.exit(_INTERRUPTED if group.subgroup(KeyboardInterrupt) else 1)


if __name__ == "__main__":
    main()
