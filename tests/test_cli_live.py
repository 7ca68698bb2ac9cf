"""The commands for calls that go on: what they send, what they print, and with which status they end."""

import json
from pathlib import Path

import attrs
import httpx
import pytest
from typer.testing import CliRunner, Result

import cli
import cli_calls
from actors.commands import KINDS
from tests.web.fakes import CALL_SID, ENVIRON, LEAD
from web.calls.operator_commands import read_action


@attrs.define
class Server:
    """A server that answers every request so."""

    status: int = 200
    answer: object = attrs.field(factory=lambda: {"outcome": "done", "why": ""})
    asked: list[httpx.Request] = attrs.field(factory=list)

    def client(self, _: str | None) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.respond), base_url="http://server.test")

    def respond(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(self.status, json=self.answer)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("getpass.getuser", lambda: "ana")
    server = Server()
    monkeypatch.setattr("cli_shared.client_of", server.client)
    return server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.commands, arguments)


GIVEN: dict[str, tuple[list[str], dict[str, str]]] = {
    "say": (["We will call you."], {"text": "We will call you."}),
    "whisper": (["It was delivered."], {"text": "It was delivered."}),
    "prompt": (["prompt.txt"], {"text": "You are Alex."}),
    "handoff": (["advisor", "--how", "hard"], {"to": "advisor", "how": "hard"}),
    "restart": ([], {}),
    "take-over": ([LEAD], {"number": LEAD}),
    "give-back": ([], {}),
    "transfer": ([LEAD, "--notes", "called twice"], {"number": LEAD, "notes": "called twice"}),
}


def test_there_is_a_command_for_everything_that_an_operator_can_do() -> None:
    assert GIVEN.keys() == KINDS.keys() <= {command.__name__.replace("_", "-") for command in cli_calls.COMMANDS}


@pytest.mark.parametrize("name", GIVEN)
def test_a_command_is_sent_as_the_server_reads_it(name: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("You are Alex.")
    arguments, fields = GIVEN[name]

    done = run(name, CALL_SID, *arguments)
    (request,) = server.asked

    assert (done.exit_code, done.output) == (0, "done\n")
    assert (request.method, request.url.path) == ("POST", f"/calls/{CALL_SID}/{name}")
    assert json.loads(request.content) == {**fields, "by": "ana"}
    assert read_action(name, request.content, ["advisor"])


@pytest.mark.parametrize(("options", "query"), [([], ""), (["--goodbye"], "goodbye=yes")])
def test_a_call_is_hung_up_at_once_or_after_a_goodbye(options: list[str], query: str, server: Server) -> None:
    server.status, server.answer = 202, {"id": CALL_SID, "call_sid": CALL_SID, "status": "completed"}

    done = run("hang-up", CALL_SID, *options)
    (request,) = server.asked

    assert (done.exit_code, done.output) == (0, "completed\n")
    assert (request.method, request.url.path) == ("DELETE", f"/calls/{CALL_SID}")
    assert request.url.query.decode() == query


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("no user name")])
def test_a_user_without_a_name_can_give_commands(
    error: Exception, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run as a number."""

    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)

    assert run("say", "CA1", "Hello.").exit_code == 0
    assert json.loads(server.asked[-1].content) == {"text": "Hello."}


def test_a_prompt_that_is_no_text_is_not_sent(server: Server, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_bytes(b"Gr\xfcezi.")
    done = run("prompt", CALL_SID, "prompt.txt")

    assert (done.exit_code, "prompt.txt is not UTF-8" in done.output, server.asked) == (2, True, [])


def test_a_command_that_was_not_done_ends_with_1(server: Server) -> None:
    server.answer = {"outcome": "over", "why": "the call ended first"}
    done = run("restart", CALL_SID)

    assert (done.exit_code, done.output) == (1, "over: the call ended first\n")


def test_a_command_that_was_refused_says_why(server: Server) -> None:
    server.status, server.answer = 409, {"error": "a handoff is under way", "outcome": "refused", "fix": "Ask again."}
    done = run("restart", CALL_SID)

    assert (done.exit_code, done.output) == (1, "a handoff is under way.\nAsk again.\n")


LIVE = {
    "calls": [
        {"call_sid": CALL_SID, "direction": "inbound", "caller": LEAD, "status": "in-progress", "floor": "advisor",
         "seconds": 61.2, "speaker": "caller", "last_words": "I [b]want[/b] to know\x1b[2J."},
        {"id": "OR1", "call_sid": "", "direction": "outbound", "caller": "", "status": "ringing", "floor": "",
         "seconds": 2.0, "speaker": "", "last_words": ""},
    ]
}  # fmt: skip


def test_the_calls_that_go_on_are_a_table(server: Server) -> None:
    server.answer = LIVE
    done = run("live")
    text = " ".join(done.output.split())

    assert done.exit_code == 0
    assert "61" in text
    assert "advisor" in text
    assert "[b]want[/b]" in text
    assert "ringing" in text
    assert LEAD not in text
    assert "\x1b" not in text


def test_a_call_in_a_pipe_is_one_line(server: Server) -> None:
    """Else a program that looks for it finds a piece."""
    words = "I would like to change my appointment " * 10
    server.answer = {"calls": [{**LIVE["calls"][0], "last_words": words}]}

    assert f"caller: {words}".strip() in run("live").output


def test_colours_make_no_terminal_of_a_pipe(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a CI that asks for them, the calls would be shown for ever."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(cli_calls, "Live", None)
    server.answer = LIVE

    assert run("live").exit_code == 0


def test_without_a_call_the_table_says_so(server: Server) -> None:
    server.answer = {"calls": []}

    assert "No call goes on." in run("live").output


def test_the_table_can_be_had_as_json(server: Server) -> None:
    server.answer = LIVE

    assert json.loads(run("live", "--json").output) == LIVE["calls"]
