"""The two consoles of the command line, its settings, and its client of a running server."""

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import httpx
import orjson
import trio
import typer
from rich.console import Console

from actors.supervision import root_cause
from protocol.fields import shown
from setting_reader import SettingsError, read_one, text_of_file
from setting_values import http_url, is_loopback
from settings import (
    API_TOKEN,
    LEAD_SERVER_EXTERNAL_URL,
    LEAD_SERVER_HOST,
    LEAD_SERVER_PORT,
    Settings,
    environment,
    unknown_names,
)
from web.clients.http import http_client
from web.clients.operator import Operator, OperatorError

T = TypeVar("T")


class Notices(Console):
    """Writes beside the output; where nobody reads it any more, the command goes on without."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with Path(os.devnull).open("w") as nowhere:  # where what Python flushes at the end goes
            os.dup2(nowhere.fileno(), sys.stderr.fileno())


def console(*, stderr: bool = False) -> Console:
    """Make a console; no columns, as some containers have it, are any number of them: else nothing is printed."""
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    return (Notices if stderr else Console)(stderr=stderr, highlight=False)


out, err = console(), console(stderr=True)

ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The switchboard to ask; LEAD_SERVER_EXTERNAL_URL if unset."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print what the server answered, as JSON.")]


_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters by which words of a caller, a model or a file could steer the terminal."""


def plain(text: str) -> str:
    """Return a text without control characters, each a question mark in a diamond instead."""
    return _STEERS.sub("\ufffd", text)


def fail(message: str, status: int = 1) -> NoReturn:
    """Print a message in red and end with this status."""
    err.print(plain(message), style="red", markup=False, soft_wrap=True)
    raise typer.Exit(status)


def run_or_fail(run: Callable[[], T], *expected: type[Exception], says: str = "{}", status: int = 1) -> T:
    """Run something, out of whose nurseries an error may come; end the command with it, if it is an expected one."""
    problem = ""
    try:
        return run()
    except* expected as group:
        problem = says.format(root_cause(group))
    fail(problem, status)


def environment_here() -> Mapping[str, str]:
    """Return this environment with its `.env` file; end the command if that cannot be read."""
    return run_or_fail(environment, SettingsError, status=2)


def settings_here() -> Settings:
    """Return the settings of this environment; end the command with their problems, if there are any."""
    try:
        environ = environment(tell=_warn)
        settings = Settings.from_environ(environ)
    except SettingsError as exc:
        fail(str(exc), 2)
    for line in unknown_names(environ):
        _warn(line)
    return settings


def _warn(line: str) -> None:
    with suppress(OSError):  # a server starts where its log cannot be written, too
        err.print(plain(line), style="yellow", markup=False, soft_wrap=True)


def client_of(server: str | None) -> httpx.AsyncClient:
    try:
        environ = environment()
        token = read_one(environ, API_TOKEN)
        url = http_url(server) if server else _usual_server(environ, token)
    except SettingsError as exc:
        fail(str(exc), 2)
    except ValueError as wanted:
        fail(f"--server {shown(server)} is not {wanted}.", 2)
    return client_at(url, token)


def client_at(url: str, token: str | None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return http_client(base_url=url, headers=headers, timeout=30)


def ask_server(server: str | None, ask: Callable[[Operator], Awaitable[T]]) -> T:
    """Ask a server something; end the command with its error, if there is one."""
    client = client_of(server)

    async def within() -> T:
        async with client:
            return await ask(Operator(client))

    return run_or_fail(partial(trio.run, within), OperatorError)


def text_in(file: Path) -> str:
    """Return what a file says; end the command if it cannot be read."""
    try:
        return text_of_file(file)
    except ValueError as exc:
        fail(f"{file} {exc}.", 2)


@contextmanager
def saving(file: Path) -> Iterator[None]:
    """End the command if a file cannot be written."""
    try:
        yield
    except OSError as exc:
        fail(f"{file} cannot be written: {exc.strerror}.")


def print_lines(*lines: str) -> None:
    for line in lines:
        out.print(plain(line), markup=False, soft_wrap=True)


def print_json(shown: object) -> None:
    print_lines(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())


def _usual_server(environ: Mapping[str, str], token: str | None) -> str:
    """Return where the server of these settings is; without a token, only the one on this machine serves us."""
    if token and environ.get(LEAD_SERVER_EXTERNAL_URL.name, "").strip():
        return read_one(environ, LEAD_SERVER_EXTERNAL_URL)
    bound: str = read_one(environ, LEAD_SERVER_HOST)
    host = bound.strip("[]") if is_loopback(bound) else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{read_one(environ, LEAD_SERVER_PORT)}"
