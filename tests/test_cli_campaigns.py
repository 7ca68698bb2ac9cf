"""Campaigns and the do-not-call list from the command line."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import phonenumbers  # noqa: F401 - else it is imported while a command runs
import pytest
import structlog
import trio
from typer.testing import CliRunner, Result

import cli
from cli_campaigns import lines_of
from tests.web.fakes import API_TOKEN, ENVIRON, LEAD, Exchange, client_of, context_of, exchange

NUMBERS = "to,name\n+12125550123,Zoë\n+14155550123,Al\n"


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """A server that commands reach without a socket."""
    there = exchange()

    def client(_: str | None) -> httpx.AsyncClient:
        reached = client_of(there.app)
        reached.headers["Authorization"] = f"Bearer {API_TOKEN}"
        return reached

    monkeypatch.setattr("cli_shared.client_of", client)
    Path("numbers.csv").write_text(NUMBERS, encoding="utf-8")
    return there


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.commands, arguments)


def create(*more: str) -> Result:
    return run("campaign", "create", "spring", "numbers.csv", *more)


def test_a_campaign_is_made_shown_and_turned(there: Exchange) -> None:
    made = create("--retry", "busy=1x2h", "--most-calls", "2", "--paused")
    outputs = [run("campaign", command, "spring").output for command in ("status", "resume", "pause", "cancel")]

    assert made.exit_code == 0, made.output
    assert "0 of 2 numbers, 0 calls" in made.output
    states = [output.splitlines()[0] for output in outputs]
    assert states == ["spring  paused", "spring  running", "spring  paused", "spring  canceled"]
    shown = orjson.loads(run("campaign", "status", "spring", "--json").output)
    assert shown["rules"]["retry"] == {"busy": {"times": 1, "minutes": 120}}
    assert "canceled 2" in run("campaign", "list").output
    assert run("campaign", "status", "spring", "--follow").exit_code == 0
    followed = run("campaign", "status", "spring", "--follow", "--json").output
    assert [orjson.loads(line)["progress"]["done"] for line in followed.splitlines()] == [2]


def test_each_bad_line_is_told(there: Exchange) -> None:
    Path("numbers.csv").write_text("to\n5\n+12125550123\n+12125550123\n", encoding="utf-8")

    made = create()

    assert made.exit_code == 1
    assert "line 2: to is not a phone number in E.164." in made.output
    assert "line 4: to is also in line 3." in made.output


@pytest.mark.parametrize("rule", ["busy", "busy=2", "busy=2x15", "busy=x", "=2x15m"])
def test_a_rule_that_is_none_is_told_with_an_example(rule: str, there: Exchange) -> None:
    made = create("--retry", rule)

    assert (made.exit_code, "--retry busy=2x15m" in made.output) == (2, True)


@pytest.mark.parametrize("number", ["nan", "inf", "0", "6001"])
def test_a_pace_that_is_none_is_told(number: str, there: Exchange) -> None:
    made = create("--per-minute", number)

    assert (made.exit_code, "--per-minute" in made.output) == (2, True)


def test_a_file_that_cannot_be_read_is_told(there: Exchange) -> None:
    Path("numbers.csv").write_bytes(b"to,name\n+12125550123,Zo\xeb\n")
    missing, latin = run("campaign", "create", "spring", "none.csv"), create()

    assert (missing.exit_code, "none.csv" in missing.output) == (2, True)
    assert (latin.exit_code, "not UTF-8" in latin.output) == (2, True)


def test_results_are_printed_or_written(there: Exchange) -> None:
    create()

    printed, written = run("campaign", "export", "spring"), run("campaign", "export", "spring", "--out", "results.csv")
    lines = run("campaign", "export", "spring", "--format", "jsonl").output.splitlines()
    refused = run("campaign", "export", "spring", "--out", "no/such/results.csv")

    assert printed.output.splitlines()[1].startswith("2,+12125550123,waiting,")
    assert Path("results.csv").read_text(encoding="utf-8") == printed.output
    assert (written.exit_code, [orjson.loads(line)["line"] for line in lines], refused.exit_code) == (0, [2, 3], 1)


def test_numbers_are_put_on_the_do_not_call_list_and_taken_off(there: Exchange) -> None:
    added = run("do-not-call", "add", LEAD, "--why", "asked [red]twice[/red]")

    assert (added.exit_code, run("do-not-call", "list").output) == (0, f"{LEAD}  asked [red]twice[/red]\n")
    assert trio.run(context_of(there).orders.refused_number, LEAD) is not None
    assert run("do-not-call", "remove", LEAD).exit_code == 0
    assert (run("do-not-call", "remove", LEAD).exit_code, run("do-not-call", "list").output) == (1, "")


def test_one_is_told_in_the_singular() -> None:
    progress = {"numbers": 1, "done": 1, "calling": 0, "waiting": 0, "calls": 1, "outcomes": {}}

    assert lines_of({"name": "spring", "state": "running", "progress": progress}, 1)[1] == "█ 1 of 1 number, 1 call"


@pytest.mark.parametrize(("seconds", "told"), [(30, "30 s"), (600, "10 min"), (9000, "2.5 h")])
def test_what_is_left_is_told_in_words(seconds: float, told: str) -> None:
    progress = {"numbers": 4, "done": 1, "calling": 1, "waiting": 2, "calls": 2, "outcomes": {}, "eta_seconds": seconds}

    told_lines = lines_of({"name": "spring", "state": "paused", "why": "no money", "progress": progress}, width=8)

    assert told_lines[0] == "spring  paused: no money"
    assert told_lines[1] == "██░░░░░░ 1 of 4 numbers, 2 calls, 1 under way"
    assert told in told_lines[2]
