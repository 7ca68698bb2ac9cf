"""The command line asks, prints, and says with its exit status how it went."""

import builtins
import errno
import importlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

import attrs
import httpx
import pytest
import trio
import typer
from trio.testing import MockClock
from typer.testing import CliRunner, Result

import cli
import cli_shared
from agents.roster import RosterError, RosterProblem
from demo.options import DemoOptions
from settings import Settings, environment
from simulators.deepgram import DeepgramKnobs
from simulators.faults import FORMS
from simulators.scenario import shipped_scenarios
from simulators.twilio.exchange import TwilioKnobs
from store.fleet.pages import Vacuumed
from store.outbox import event_id
from store.records import FAILED, UNANSWERED, AgentPeriod, CallRecord, HandoffRecord, TurnRecord
from tests.web.fakes import (
    API_TOKEN,
    CALL_SID,
    ENVIRON,
    LEAD,
    LINE,
    ORIGIN,
    Exchange,
    client_of,
    context_of,
    exchange,
    record,
)
from web.clients.operator import Operator, OperatorError
from web.clients.twilio import CallOptions
from web.showing import call_lines
from web.twilio_checks import Finding


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("cli.configure_logs", lambda _: None)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """A server that commands reach without a socket."""
    there = exchange()

    def client(_: str | None) -> httpx.AsyncClient:
        reached = client_of(there.app)
        reached.headers["Authorization"] = f"Bearer {API_TOKEN}"
        return reached

    monkeypatch.setattr("cli_shared.client_of", client)
    return there


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.commands, arguments)


CHAIN = ("qualifier", "advisor", "specialist_for_pensions", "closer", "billing", "[b]oddly named[/b]")


def ending(there: Exchange, *, talked: bool, outcome: str = "completed") -> Callable[[str, str, CallOptions], object]:
    """A line on which a call is over as soon as it is placed."""

    async def place_call(to: str, order: str, options: CallOptions) -> str:
        about = {"CallSid": CALL_SID, "Direction": "outbound-api", "From": LINE, "To": LEAD}
        await there.twilio(f"/twilio/status?order={order}", {**about, "CallStatus": "ringing"})
        if talked:
            words = (TurnRecord(1.0, "qualifier", "Hello [red]John[/red]."), TurnRecord(2.0, "caller", "Hi."))
            await there.records.save(
                record(agents=tuple(AgentPeriod(name, 0, 12) for name in CHAIN), transcript=words, outcome=outcome)
            )
        over = {**about, "CallStatus": "completed" if talked else "busy", "SequenceNumber": "3"}
        await there.twilio(f"/twilio/status?order={order}", over)
        return CALL_SID

    return place_call


def test_a_call_is_told_until_its_end(there: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(there.line), "place_call", staticmethod(ending(there, talked=True)))

    done = run("call", LEAD, "--about", "name=John")

    assert done.exit_code == 0, done.output
    assert f"Placed {CALL_SID}" in done.output
    assert f"completed after 12 s; agents: {', '.join(CHAIN)}\n" in done.output
    assert "qualifier: Hello [red]John[/red]." in done.output


def test_a_call_that_nobody_took_is_a_failure(there: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(there.line), "place_call", staticmethod(ending(there, talked=False)))

    done = run("call", LEAD)

    assert (done.exit_code, "busy: the line was engaged" in done.output) == (1, True)


@pytest.mark.parametrize("outcome", sorted(FAILED - UNANSWERED.keys()))
def test_a_call_that_a_fault_has_ended_is_a_failure(
    outcome: str, there: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(there.line), "place_call", staticmethod(ending(there, talked=True, outcome=outcome)))

    done = run("call", LEAD)

    assert (done.exit_code, f"{outcome} after 12 s" in done.output, "Hi." in done.output) == (1, True, True)


def test_what_the_server_refuses_is_told(there: Exchange) -> None:
    done = run("call", LINE)

    assert (done.exit_code, "our own number" in done.output) == (1, True)


@pytest.mark.parametrize("about", ["John", "=John"])
def test_what_is_known_is_written_as_name_and_value(about: str, there: Exchange) -> None:
    done = run("call", LEAD, "--about", about)

    assert (done.exit_code, "is not NAME=VALUE" in done.output) == (2, True)


NAMED = ("show {}", "say {} Hello.", "restart {}", "campaign export {}", "do-not-call add {}", "do-not-call remove {}")


@pytest.mark.parametrize(
    ("command", "name"),
    [*((command, "..") for command in NAMED), *(("show {}", name) for name in ("", " ", ".", "../calls", "CA1/say"))],
)
def test_a_name_that_would_lead_to_another_address_is_told(command: str, name: str, there: Exchange) -> None:
    done = run(*(word.format(name) for word in command.split()))

    told = f'"{name}" is no name.' if name.strip() else "The name is empty."
    assert (done.exit_code, told in done.output) == (1, True), done.output


def test_calls_are_listed_with_their_numbers_masked(there: Exchange) -> None:
    trio.run(there.records.save, record(agents=(AgentPeriod("qualifier", 0, 12),)))

    done = run("calls")

    assert done.exit_code == 0
    assert CALL_SID in done.output
    assert LEAD not in done.output


def test_a_list_cuts_nothing_off(there: Exchange) -> None:
    periods = tuple(AgentPeriod(agent, 0, 12) for agent in ("qualifier", "advisor", "closer"))
    trio.run(there.records.save, record(outcome="transfer_unknown", agents=periods))

    done = run("calls")

    row = done.output.splitlines()[1]
    assert row.split()[3:] == ["<-", "+***00", "transfer_unknown", "12", "qualifier,", "advisor,", "closer"]


def test_a_call_is_shown_with_every_word_as_it_was_said(there: Exchange) -> None:
    said = "Hello [red]John[/red].\x1b]0;\x9b31m\x07"
    trio.run(there.records.save, record(transcript=(TurnRecord(1.0, "qualifier", said, said),)))

    done = run("show", CALL_SID)

    assert (done.exit_code, "qualifier: Hello [red]John[/red].\ufffd]0;\ufffd31m\ufffd" in done.output) == (0, True)
    assert LEAD not in done.output


def test_a_call_that_nobody_knows_cannot_be_shown(there: Exchange) -> None:
    done = run("show", "nobody")

    assert (done.exit_code, "no such call" in done.output) == (1, True)


def test_no_calls_is_no_table(there: Exchange) -> None:
    told = run("calls").output

    assert told.startswith("No calls known to the worker at http")  # another worker may have some


def test_a_server_that_is_not_there_is_told() -> None:
    done = run("calls", "--server", "http://127.0.0.1:1")

    assert (done.exit_code, "switchboard serve" in done.output) == (1, True)


@pytest.mark.parametrize(
    ("server", "token", "url", "sends"),
    [
        (None, "secret-token", "https://agent.example.com", "Bearer secret-token"),
        (None, "", "http://127.0.0.1:8000", None),
        ("http://10.0.0.7:9", "", "http://10.0.0.7:9", None),
    ],
)
def test_the_server_that_is_meant_is_asked(
    server: str | None, token: str, url: str, sends: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", token)

    client = cli_shared.client_of(server)

    assert (str(client.base_url).rstrip("/"), client.headers.get("authorization")) == (url, sends)


@pytest.mark.parametrize(
    ("bound", "host"),
    [("::1", "[::1]"), ("[::1]", "[::1]"), ("127.0.0.7", "127.0.0.7"), ("localhost", "localhost"), ("::", "127.0.0.1")],
)
def test_without_a_token_the_server_is_asked_where_it_listens(
    bound: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "")
    monkeypatch.setenv("LEAD_SERVER_HOST", bound)

    assert str(cli_shared.client_of(None).base_url).rstrip("/") == f"http://{host}:8000"


@pytest.mark.parametrize(
    ("server", "name", "value"),
    [
        ("foo", "--server", ""),
        ("http://[bad", "--server", ""),
        (None, "API_TOKEN", "pässwörd"),
        (None, "LEAD_SERVER_PORT", "eighty"),
        (None, "LEAD_SERVER_EXTERNAL_URL", "agent.example.com"),
    ],
)
def test_a_server_that_cannot_be_meant_is_told_by_name(
    server: str | None, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server is None:
        monkeypatch.setenv("API_TOKEN", "" if name == "LEAD_SERVER_PORT" else API_TOKEN)
        monkeypatch.setenv(name, value)

    done = run("calls", *(["--server", server] if server else []))

    assert (done.exit_code, name in done.output, value in done.output) == (2, True, name != "API_TOKEN")


async def test_a_call_is_asked_for_by_its_whole_name(autojump_clock: MockClock) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(404, json={"error": "no such call"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://there") as client:
        with pytest.raises(OperatorError):
            await Operator(client).ask("GET", "calls", "?limit=1&..#x")

    assert asked == ["/calls/%3Flimit%3D1%26..%23x"]


def test_serving_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(settings: Settings, *, task_status: trio.TaskStatus[Sequence[str]]) -> None:
        await trio.lowlevel.checkpoint()
        task_status.started(["http://127.0.0.1:8000"])

    monkeypatch.setattr("web.serving.serve_calls", serve)
    done = run("serve")

    assert (done.exit_code, "http://127.0.0.1:8000" in done.output) == (0, True)
    assert "https://agent.example.com" in done.output


@pytest.mark.parametrize("error", [OSError("port taken"), RosterError(())])
def test_a_server_that_cannot_start_says_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(settings: Settings, *, task_status: trio.TaskStatus[Sequence[str]]) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    monkeypatch.setattr("web.serving.serve_calls", serve)
    monkeypatch.setattr("sys.argv", ["switchboard", "serve"])
    done = run("serve")
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert (done.exit_code, "Cannot serve" in done.output) == (1, True)
    assert (ended.value.code, "Cannot serve" in capsys.readouterr().err) == (1, True)


def test_wrong_settings_are_told_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CALLS", "many")
    monkeypatch.setenv("LEAD_SERVER_PORT", "eighty")

    done = run("serve")

    assert (done.exit_code, "MAX_CALLS" in done.output, "LEAD_SERVER_PORT" in done.output) == (2, True, True)


@attrs.define
class Simulated:
    """A simulator that stops as soon as it is started."""

    started: object
    given: dict[str, object] = attrs.field(factory=dict)

    async def __call__(self, *_: object, task_status: trio.TaskStatus[object], **given: object) -> None:
        await trio.lowlevel.checkpoint()
        self.given.update(given)
        task_status.started(self.started)


@pytest.mark.parametrize(
    ("service", "function", "started", "said"),
    [
        ("deepgram", "simulators.command.serve_deepgram", 81, "DEEPGRAM_AGENT_URL=ws"),
        ("twilio", "simulators.command.serve_twilio", 82, "TWILIO_API_URL=http://127.0.0.1:82"),
        ("groq", "simulators.command.serve_groq", 83, "GROQ_BASE_URL=http://127.0.0.1:83"),
    ],
)  # fmt: skip
def test_a_simulator_says_which_settings_lead_to_it(
    service: str, function: str, started: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = Simulated(started)
    monkeypatch.setattr("simulators.command.serve_app", Simulated(84))
    monkeypatch.setattr(function, simulated)

    done = run(
        "simulate", service, "--port", "80", "--fault", f"{service}: slow 1 s" if service == "groq" else "groq: 429"
    )

    assert (done.exit_code, said in done.output, simulated.given["port"]) == (0, True, 80)


def test_the_simulated_number_sends_its_calls_to_the_server_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Simulated(82)
    monkeypatch.setattr("simulators.command.serve_twilio", simulated)

    run("simulate", "twilio")

    assert simulated.given["knobs"] == TwilioKnobs(voice_url=f"{ORIGIN}/twilio/voice")


@pytest.mark.parametrize(
    ("flag", "knobs"),
    [
        ("--no-end-of-turn", DeepgramKnobs(sends_end_of_turn=False)),
        ("--no-latency-reports", DeepgramKnobs(sends_latency_reports=False)),
        ("--any-flux-version", DeepgramKnobs(any_flux_version=True)),
        ("--cancel-any-call", DeepgramKnobs(cancels_deferred_calls=True)),
        ("--forget-on-update", DeepgramKnobs(think_keeps_history=False)),
        ("--no-force-end-turn", DeepgramKnobs(takes_force_end_turn=False)),
        ("--plaintext-streams", TwilioKnobs(voice_url=f"{ORIGIN}/twilio/voice", dials_plaintext=True)),
    ],
)
def test_a_simulators_habits_have_flags(
    flag: str, knobs: DeepgramKnobs | TwilioKnobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, another = ("deepgram", "groq") if isinstance(knobs, DeepgramKnobs) else ("twilio", "deepgram")
    simulated = Simulated(82)
    monkeypatch.setattr("simulators.command.serve_app", Simulated(84))
    monkeypatch.setattr(f"simulators.command.serve_{service}", simulated)

    done, refused = run("simulate", service, flag), run("simulate", another, flag)

    assert (done.exit_code, simulated.given["knobs"]) == (0, knobs)
    assert (refused.exit_code, f"{flag} is a flag of `switchboard simulate {service}`" in refused.output) == (2, True)


def test_models_are_retired_and_offered_by_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    deepgram, groq = Simulated(81), Simulated(83)
    monkeypatch.setattr("simulators.command.serve_app", Simulated(84))
    monkeypatch.setattr("simulators.command.serve_deepgram", deepgram)
    monkeypatch.setattr("simulators.command.serve_groq", groq)

    run("simulate", "deepgram", "--retire", "gpt-5.4-mini", "--retire", "gpt-4o")
    run("simulate", "groq", "--retire", "openai/gpt-oss-120b", "--offer", "llama-3.3-70b-versatile")
    refused = run("simulate", "twilio", "--retire", "gpt-4o")

    assert deepgram.given["knobs"] == DeepgramKnobs(retired=frozenset({"gpt-5.4-mini", "gpt-4o"}))
    assert groq.given["retired"] == ["openai/gpt-oss-120b"]
    assert cast("tuple[str, ...]", groq.given["offered"])[-1] == "llama-3.3-70b-versatile"
    assert (refused.exit_code, "of `switchboard simulate deepgram and groq`" in refused.output) == (2, True)


@pytest.mark.parametrize("service", ["deepgram", "twilio", "groq"])
def test_a_simulator_can_be_served_by_tls(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("simulators.command.serve_deepgram", Simulated(81))
    for function in ("serve_app", "serve_twilio", "serve_groq"):
        monkeypatch.setattr(f"simulators.command.{function}", Simulated(82))

    done = run("simulate", service, "--tls")

    assert (done.exit_code, "http://" in done.output, "ws://" in done.output) == (0, False, False)
    assert Path(done.output.rpartition("SSL_CERT_FILE=")[2].strip()).read_bytes().startswith(b"-----BEGIN CERT")


@pytest.mark.parametrize(("port", "beside"), [(80, 81), (0, 0), (65535, 0)])
def test_deepgram_is_simulated_with_its_text_to_speech_on_the_next_port(
    port: int, beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak = Simulated(84)
    monkeypatch.setattr("simulators.command.serve_deepgram", Simulated(81))
    monkeypatch.setattr("simulators.command.serve_app", speak)

    done = run("simulate", "deepgram", "--port", str(port))

    assert (done.exit_code, speak.given["port"]) == (0, beside)
    assert "DEEPGRAM_SPEAK_URL=http://127.0.0.1:84/v1/speak" in done.output


@pytest.mark.parametrize("wrong", [["--scenario", "no-such"], ["--fault", "groq: sings"]])
def test_a_simulation_that_is_not_known_is_told(wrong: list[str]) -> None:
    assert run("simulate", "groq", *wrong).exit_code == 2


def test_a_simulator_without_a_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(*_: object, task_status: object, **given: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("taken")

    monkeypatch.setattr("simulators.command.serve_groq", serve)
    done = run("simulate", "groq", "--port", "80")

    assert (done.exit_code, "Cannot serve on port 80" in done.output) == (1, True)


@pytest.mark.parametrize(("well", "status"), [(True, 0), (False, 1)])
def test_a_check_says_what_to_do(well: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check_everything(_: Settings) -> Mapping[str, Finding]:
        await trio.lowlevel.checkpoint()
        return {"Deepgram": Finding(well=well, says="HTTP 401", fix="Check DEEPGRAM_API_KEY.")}

    monkeypatch.setattr("web.checkup.check_everything", check_everything)
    done = run("check")

    assert (done.exit_code, "Check DEEPGRAM_API_KEY." in done.output) == (status, True)


def test_a_setting_that_is_misspelt_is_told_by_every_command_that_reads_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check_everything(_: Settings) -> Mapping[str, Finding]:
        await trio.lowlevel.checkpoint()
        return {}

    monkeypatch.setattr("web.checkup.check_everything", check_everything)
    monkeypatch.setenv("THINK_PROVIDR", "groq")

    done = run("check")

    assert done.exit_code == 0
    assert "THINK_PROVIDR is no setting, and nothing reads it. Did you mean THINK_PROVIDER?" in done.output


@pytest.mark.parametrize(
    ("agents", "told"), [("nowhere.agents", "And the agents: nowhere.agents: import:"), ("agents", "")]
)
def test_a_check_without_keys_says_what_is_wrong_with_the_agents_as_well(
    agents: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    monkeypatch.setenv("AGENTS", agents)
    done = run("check")

    assert (done.exit_code, "DEEPGRAM_API_KEY is missing" in done.output) == (2, True)
    assert ("And the agents" in done.output, told in done.output) == (bool(told), True)


def test_a_check_of_agents_that_cannot_take_calls_says_what_is_wrong_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Settings) -> None:
        raise RosterError([RosterProblem("agents/billing.py", "voice", "is empty")])

    monkeypatch.setattr("web.checkup.roster_of", broken)
    done = run("check")

    assert (done.exit_code, done.output) == (1, "Cannot check: agents/billing.py: voice: is empty\n")


def test_the_demo_is_the_demos(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[DemoOptions] = []

    def run_demo(options: DemoOptions) -> int:
        asked.append(options)
        return 3

    monkeypatch.setattr("demo.run.main", run_demo)

    done = run("demo", "--scenario", "sale", "--speed", "20", "--out", "there", "--fault", "groq: 429")

    assert (done.exit_code, asked) == (3, [DemoOptions("sale", 20.0, Path("there"), ("groq: 429",))])


@pytest.mark.parametrize("command", ["demo", "talk", "simulate groq"])
def test_what_is_wrong_is_told_beside_the_output(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    told = run(*command.split(), "--scenario", "nope")

    assert (told.exit_code, told.stdout) == (2, "")
    assert "no scenario is called 'nope'" in told.stderr


def test_asking_for_nothing_shows_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["switchboard"])

    with pytest.raises(SystemExit) as asked:
        cli.main()
    assert asked.value.code == 2


def test_a_list_for_a_narrow_terminal_fits_and_cuts_no_word() -> None:
    periods = [{"agent": agent} for agent in ("qualifier", "advisor", "closer")]
    call = {
        "call_sid": CALL_SID,
        "direction": "outbound",
        "caller": LEAD,
        "status": "completed",
        "outcome": "transfer_unknown",
        "started_at": "2026-11-28T05:36:00.000+00:00",
        "duration": 1799.6,
        "agents": periods,
    }

    written = list(call_lines([call], 80))

    assert max(map(len, written)) <= 80
    assert written[1].split() == ["11-28", "05:36", CALL_SID, "->", "+***00", "transfer_unknown", "1800"]
    assert written[2].split() == ["qualifier,", "advisor,", "closer"]


@pytest.mark.parametrize("command", ["calls", "show"])
def test_what_the_server_answered_can_be_had_as_json(command: str, there: Exchange) -> None:
    trio.run(there.records.save, record())

    done = run(command, *([CALL_SID] if command == "show" else []), "--json")

    answered = json.loads(done.output)
    assert (answered if command == "show" else answered[0])["call_sid"] == CALL_SID


def test_a_call_is_shown_with_its_facts_and_the_brief_of_each_handoff(there: Exchange) -> None:
    cause = "agreed to talk to an advisor"
    brief = {"name": "John", "summary": "Wants to retire at sixty.", "reason": cause}
    handoff = HandoffRecord("qualifier", "advisor", 38.3, 0.32, "groq", cause, brief)
    trio.run(there.records.save, record(handoffs=(handoff,), facts={"preferred_timeframe": "next Wednesday"}))

    done = run("show", CALL_SID)

    for line in (
        f"because: {cause}",
        "name: John",
        "summary: Wants to retire at sixty.",
        "preferred_timeframe: next Wednesday",
    ):
        assert line in done.output, line
    assert done.output.count(cause) == 1


def test_the_version_is_told() -> None:
    done = run("--version")

    assert (done.exit_code, done.output) == (0, f"switchboard {version('switchboard-voice')}\n")


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_help_lists_scenarios_and_faults(command: str) -> None:
    told = " ".join(run(command, "--help").output.split())

    assert all(name in told for name in shipped_scenarios())
    assert all(" ".join(form.example.split()) in told for form in FORMS)


async def _listen(settings: Settings, *, task_status: trio.TaskStatus[Sequence[str]]) -> None:
    task_status.started(["http://127.0.0.1:8000"])
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(("given", "number"), [((), None), ((LEAD,), LEAD)])
def test_serving_can_call_at_once(given: tuple[str, ...], number: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered: list[tuple[str, str | None, str | None]] = []

    async def follow(operator: Operator, to: str | None, *_: object) -> int:
        client = operator.http
        await client.aclose()
        ordered.append((str(client.base_url).rstrip("/"), to, client.headers.get("authorization")))
        return 0

    monkeypatch.setattr("web.serving.serve_calls", _listen)
    monkeypatch.setattr("cli.follow_call", follow)
    done = run("serve", "--call", *given)

    assert (done.exit_code, "Ctrl-C" in done.output) == (0, True)
    assert ordered == [("http://127.0.0.1:8000", number, f"Bearer {API_TOKEN}")]


def test_what_is_told_to_nobody_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server starts, and a command ends with its own status, though nobody reads its log any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setattr(cli_shared, "err", cli_shared.console(stderr=True))
        cli_shared._warn("THINK_PROVIDR is no setting")
        with pytest.raises(typer.Exit) as ended:
            cli_shared.fail("no", 2)

    assert ended.value.exit_code == 2


def test_a_call_that_cannot_be_ordered_does_not_end_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def follow(operator: Operator, *_: object) -> int:
        await operator.http.aclose()
        raise OperatorError("LEAD_PHONE_NUMBER is not set.")

    monkeypatch.setattr("web.serving.serve_calls", _listen)
    monkeypatch.setattr("cli.follow_call", follow)
    done = run("serve", "--call")

    assert (done.exit_code, "LEAD_PHONE_NUMBER is not set." in done.output) == (0, True)


def test_a_call_that_cannot_be_ordered_for_the_machines_own_reasons_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def follow(operator: Operator, *_: object) -> int:
        await operator.http.aclose()
        raise OSError("the proxy that HTTP_PROXY names cannot be used")

    monkeypatch.setattr("web.serving.serve_calls", _listen)
    monkeypatch.setattr("cli.follow_call", follow)
    done = run("serve", "--call")

    assert (done.exit_code, "that HTTP_PROXY names" in done.output, "Ctrl-C" in done.output) == (0, True, True)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SystemExit(1)], ids=["full", "nobody reads: rich"]
)
def test_a_call_that_is_told_to_nobody_does_not_end_the_server(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    served: list[bool] = []

    async def listen(settings: Settings, *, task_status: trio.TaskStatus[Sequence[str]]) -> None:
        await _listen(settings, task_status=task_status)
        await trio.sleep(0.1)
        served.append(True)

    async def follow(operator: Operator, *_: object) -> int:
        await operator.http.aclose()
        raise error

    monkeypatch.setattr("web.serving.serve_calls", listen)
    monkeypatch.setattr("cli.follow_call", follow)

    assert (run("serve", "--call").exit_code, served) == (0, [True])


def test_a_number_without_call_is_explained() -> None:
    done = run("serve", LEAD)

    assert (done.exit_code, f"switchboard serve --call {LEAD}" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("MAX_CALLS=5\n".encode("utf-16"), "is not UTF-8 (line 1)"),
        ("MAX_CALLS=5\nNAME=Zoë\n".encode("latin-1"), "is not UTF-8 (line 2)"),
        ("MAX_CALLS=5\n".encode("utf-16-le"), "NUL characters"),
    ],
)
@pytest.mark.parametrize(
    "command", ["serve", "check", "calls", "simulate groq", "demo", "talk", "migrate", "replay CA1"]
)
def test_a_dotenv_file_in_another_encoding_is_told(command: str, written: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(written)

    done = run(*command.split())

    assert (done.exit_code, told in done.output, "Save it as UTF-8" in done.output) == (2, True, True), done.output


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ('A=1\nAPI_TOKEN="half\nB=2\n', 2),
        ("set API_TOKEN=x\n", 1),
        ("A=1\n# B\n\nAPI_TOKEN: x\n", 4),
        ("A='it's'\n", 1),
        ("A=1\nSPEAK_SPEED\n", 2),
        ("export SPEAK_SPEED\n", 1),
    ],
)
def test_a_line_of_a_dotenv_file_that_nobody_can_read_is_told(written: str, line: int, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(written)

    told = run("calls")

    assert told.exit_code == 2
    assert f".env cannot be read in line {line}. Write NAME=VALUE, with quotes that are closed." in told.stderr


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("MAX_CALLS=5\nAGENTS=agents\nMAX_CALLS=50\n", "1, 3"),
        ("\ufeffMAX_CALLS=5\n\n# more\nexport MAX_CALLS='50'\nMAX_CALLS=5\n", "1, 4, 5"),
        ("MAX_CALLS=\nMAX_CALLS = 5  # a comment\n", "1, 2"),
    ],
)
def test_a_name_that_a_dotenv_file_sets_to_several_values_is_told(written: str, lines: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(written + "LEAD_SERVER_PORT=x\n")

    told = run("serve")

    assert told.exit_code == 2
    assert f"MAX_CALLS is set in lines {lines} of .env, and only the last counts. Leave one." in told.stderr


@pytest.mark.parametrize("written", ["", "MAX_CALLS=5\nMAX_CALLS='5'\n", "MAX_CALLS=5\n# MAX_CALLS=50\n"])
def test_a_name_that_a_dotenv_file_sets_to_one_value_is_not_told(written: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(written + "LEAD_SERVER_PORT=x\n")

    assert "only the last counts" not in run("serve").stderr


def test_a_dotenv_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("\ufeffSWITCHBOARD_PROBE=5\n".encode())

    assert environment()["SWITCHBOARD_PROBE"] == "5"


def keep(there: Exchange, *records: CallRecord) -> None:
    async def save() -> None:
        for one in records:
            await there.records.save(one)

    trio.run(save)


def test_what_is_kept_of_a_person_is_listed_exported_and_forgotten(there: Exchange, tmp_path: Path) -> None:
    keep(there, record(), record("CA" + "2" * 32, caller="+15558880000", why=f"asked for {LEAD}"))
    listed, exported = run("kept", LEAD), run("export", LEAD, "--out", str(tmp_path / "kept.zip"))
    forgotten, again = run("forget", LEAD, "--yes"), run("kept", LEAD)

    assert listed.output.splitlines() == [f"{CALL_SID}, record", f"CA{'2' * 32}, somebody else's call: mentions it"]
    assert zipfile.ZipFile(tmp_path / "kept.zip").namelist() == [f"{CALL_SID}/record.json"]
    assert (tmp_path / "kept.zip").stat().st_mode & 0o777 == 0o600
    assert json.loads(forgotten.output[forgotten.output.index("{\n") :])["erased"]["records"] == 2
    assert (exported.exit_code, forgotten.exit_code, again.output) == (0, 0, "Nothing is kept.\n")


@pytest.mark.parametrize(("url", "is_vacuumed"), [("memory:", False), ("postgresql://x@/x", True)])
def test_the_tables_of_a_postgresql_are_written_anew_where_that_is_asked_for(
    url: str, is_vacuumed: bool, there: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vacuum(url: str, *, full: bool) -> Vacuumed:
        asked.append(url * full)
        if len(asked) > 1:
            raise OSError("lock timeout")
        return Vacuumed({"calls": 0.5}, ["backups"])

    asked = list[str]()
    monkeypatch.setattr("store.fleet.pages.vacuum", vacuum)
    monkeypatch.setenv("DATABASE_URL", url)
    keep(there, record())
    done, busy = run("forget", LEAD, "--yes", "--vacuum"), run("forget", LEAD, "--yes", "--vacuum")

    proof = json.loads(done.output[done.output.index("{\n") :])
    expected = ({"calls": 0.5}, ["backups"]) if is_vacuumed else (None, [])
    assert (proof.get("vacuumed"), proof["not_erased"]) == expected
    assert (done.exit_code, busy.exit_code) == (0, int(is_vacuumed))
    assert ("lock timeout" in busy.output) is is_vacuumed


def test_nothing_is_erased_where_the_database_to_write_anew_is_not_known(
    there: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://db")
    keep(there, record())
    told = run("forget", LEAD, "--yes", "--vacuum")

    assert (told.exit_code, "DATABASE_URL is" in told.stderr) == (2, True)
    assert CALL_SID in run("kept", LEAD).output


@pytest.mark.parametrize("where", ["nowhere/kept.zip", "folder", "."])
def test_an_export_that_cannot_be_written_is_told(where: str, there: Exchange, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    keep(there, record())

    told = run("export", LEAD, "--out", where)

    assert (told.exit_code, told.stderr[: len(where) + 19]) == (1, f"{where} cannot be written:")


def test_what_cannot_be_printed_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.argv", ["switchboard", "calls"])
    monkeypatch.setattr("cli.commands", full)
    monkeypatch.setattr("sys.stdout", sys.stdout)
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert (ended.value.code, sys.stdout) == (1, None)
    assert capsys.readouterr().err == "Cannot go on: No space left on device\n"


def test_a_long_identity_moves_no_other_line() -> None:
    call = {"call_sid": CALL_SID, "direction": "inbound", "caller": LEAD, "status": "completed"}
    alone = list(call_lines([call]))
    heading, long, line = call_lines([{**call, "caller": "sip:alice@" + "a" * 2000 + ".example"}, call])

    assert [heading, line] == alone
    assert "a" * 2000 in long


def test_an_export_that_fails_leaves_what_was_there(there: Exchange, tmp_path: Path) -> None:
    (tmp_path / "kept.zip").write_text("of yesterday")

    assert run("export", "no such call", "--out", str(tmp_path / "kept.zip")).exit_code == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of yesterday"]


def test_nobody_is_forgotten_by_a_slip(there: Exchange) -> None:
    keep(there, record())
    asked, unknown = run("forget", LEAD), run("forget", "CA" + "9" * 32, "--yes")

    assert (asked.exit_code, unknown.exit_code) == (1, 1)
    assert "add --yes" in asked.stderr
    assert "nothing of this name is kept" in unknown.output
    assert run("kept", LEAD).output.startswith(CALL_SID)


def test_webhooks_that_did_not_arrive_are_listed_and_sent_again(there: Exchange) -> None:
    outbox = context_of(there).outbox

    async def leave_a_dead_one() -> None:
        await outbox.put(CALL_SID, "call.ended", 0, {})
        event = await outbox.take(60)
        assert event is not None
        await outbox.failed(event, "HTTP 500", 90_000)

    trio.run(leave_a_dead_one)
    listed, resent, left = run("webhooks"), run("webhooks", "--resend", "all"), run("webhooks")

    assert listed.output.split() == [event_id(CALL_SID, "call.ended", 0), "call.ended", CALL_SID, "1", "HTTP", "500"]
    assert (resent.output, left.output) == ("1 to be sent again.\n", "")


def test_tables_are_made_before_a_worker_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/calls.db")
    made, again = run("migrate"), run("migrate")
    monkeypatch.setenv("DATABASE_URL", "memory:")

    assert (made.exit_code, made.output, again.output) == (
        0,
        f"sqlite:///{tmp_path}/calls.db: ready\n",
        made.output,
    )
    assert (tmp_path / "calls.db").exists()
    assert run("migrate").exit_code == 2


@pytest.mark.parametrize("url", ["sqlite:////proc/none/calls.db", "postgresql://nobody@127.0.0.1:1/none"])
def test_tables_that_cannot_be_made_name_the_setting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    told = run("migrate")

    assert (told.exit_code, "DATABASE_URL" in told.stderr) == (1, True)


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", "Zo? ?? \n"), ("latin-1", "Zoë ?? \n"), ("utf-8", "Zoë █░ \n")]
)
def test_what_a_terminal_cannot_write_is_a_question_mark(
    encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.argv", ["switchboard", "calls"])
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("cli.commands", lambda: cli_shared.print_lines("Zoë █░ "))

    cli.main()
    terminal.seek(0)

    assert terminal.read() == printed


@pytest.mark.parametrize(("arguments", "name"), [(["serve"], "cli.serve"), (["calls"], "cli.commands")])
@pytest.mark.parametrize(
    "raised",
    [KeyboardInterrupt(), BaseExceptionGroup("a nursery", [BaseExceptionGroup("another", [KeyboardInterrupt()])])],
)
def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(
    arguments: list[str],
    name: str,
    raised: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted() -> None:
        raise raised

    monkeypatch.setattr("sys.argv", ["switchboard", *arguments])
    monkeypatch.setattr(name, interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "")


@pytest.mark.parametrize("module", ["trio", "typer", "cli_calls", "settings", "web.worker.logs"])
def test_ctrl_c_while_it_imports_ends_it_without_a_traceback(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def interrupted(
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> object:
        if name == module:
            raise KeyboardInterrupt
        return real(name, globals_, locals_, fromlist, level)

    monkeypatch.delitem(sys.modules, "cli")
    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("cli")

    assert ended.value.code == 130


def test_a_command_whose_output_nobody_reads_any_more_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with `| head`: rich raises SystemExit where the line is printed, in whatever nursery that is."""
    reader, writer = os.pipe()
    os.close(reader)

    async def print_in_a_nursery() -> None:
        with os.fdopen(writer, "w") as stdout:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                monkeypatch.setattr("sys.stdout", stdout)
                cli_shared.console().print("words")

    monkeypatch.setattr("sys.argv", ["switchboard", "demo"])
    monkeypatch.setattr("cli.commands", lambda: trio.run(print_in_a_nursery))
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert (ended.value.code, capsys.readouterr().err) == (1, "")


def test_a_terminal_without_columns_is_printed_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    cli_shared.console().print("words")

    assert capsys.readouterr().out == "words\n"
