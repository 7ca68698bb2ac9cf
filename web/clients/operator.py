"""Client of a running switchboard, for the command line: calls, campaigns, the do-not-call list, webhooks.

`Operator` asks one server over an httpx client it was given. Whatever goes wrong is `OperatorError`, in words for the
person at the keyboard, with what to do about it.
"""

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias, cast
from urllib.parse import quote

import attrs
import httpx
import trio

from protocol.phone_numbers import identity_of, is_phone_number
from protocol.twilio import FINAL_STATUSES

Shown: TypeAlias = Mapping[str, object]

POLL_SECONDS = 1.0
RECORD_SECONDS = 10.0
"""How long after the end of a call its record may take to appear."""


class OperatorError(Exception):
    """The server did not do what was asked; the message says why and what to do."""


NOT_UTF8 = "What you wrote is not UTF-8. Set the terminal to UTF-8, and write it again."


def in_path(name: str) -> str:
    """Write a name as one step of a path; what the terminal gave us and is no text is a question mark there.

    Raises: `OperatorError` for what would lead to another address.
    """
    if name.strip() in {"", ".", ".."} or "/" in name:
        told = f'"{name}" is no name' if name.strip() else "The name is empty"
        raise OperatorError(f"{told}. Copy it from the list: switchboard calls, campaign list or do-not-call list.")
    return quote(name, safe="", errors="replace")


def time_left(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _explained(one: Mapping[str, object]) -> str:
    line = f"line {one['line']}: " if "line" in one else ""
    return f"{line}{one.get('field')} {one.get('problem')}. {one.get('fix')}"


def why_refused(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "error" not in answer:
        return f"The server answered HTTP {response.status_code}. Is this a switchboard? {response.request.url}"
    code = f" (Twilio {answer['code']})" if answer.get("code") else ""
    problems = answer.get("problems")
    explained = [_explained(one) for one in problems if isinstance(one, dict)] if isinstance(problems, list) else []
    lines = [f"{answer['error']}{code}.", *explained, str(answer.get("fix") or "")]
    return "\n".join(line for line in lines if line)


def named(name: str) -> Mapping[str, str]:
    """Return the body of a request about a person, by number, however it is written, or about a call."""
    number = identity_of(name)
    return {"number": number} if is_phone_number(number) else {"call": name}


@contextmanager
def _explaining(http: httpx.AsyncClient) -> Iterator[None]:
    """Raise `OperatorError` where a request could not be made."""
    try:
        yield
    except UnicodeEncodeError as exc:
        raise OperatorError(NOT_UTF8) from exc
    except httpx.RequestError as exc:
        fix = "Is the server running? Start it with: switchboard serve"
        raise OperatorError(f"No answer from {http.base_url} ({type(exc).__name__}).\n{fix}") from exc


@attrs.frozen
class Operator:
    """A client of one server. Every method raises `OperatorError`; the steps of a path are names as they were given."""

    http: httpx.AsyncClient

    async def send(
        self,
        method: str,
        *path: str,
        content: object = None,
        query: Mapping[str, str] | None = None,
        within: float | None = None,
    ) -> httpx.Response:
        """Send a request with JSON `content`, and return the answer; `within` is in seconds, if not as usual."""
        target, timeout = "".join(f"/{in_path(step)}" for step in path), self.http.timeout if within is None else within
        with _explaining(self.http):
            response = await self.http.request(method, target, json=content, params=query, timeout=timeout)
        if response.is_error:
            raise OperatorError(why_refused(response))
        return response

    async def ask(
        self,
        method: str,
        *path: str,
        content: object = None,
        query: Mapping[str, str] | None = None,
        within: float | None = None,
    ) -> Shown:
        """Send a request, as `send` does, and return the JSON object of the answer."""
        response = await self.send(method, *path, content=content, query=query, within=within)
        with suppress(ValueError):
            if isinstance(shown := response.json(), dict):
                return shown
        raise OperatorError(why_refused(response))

    async def listed(self, path: str, key: str, query: Mapping[str, str] | None = None) -> Sequence[Shown]:
        """Return the list that stands under `key` in an answer."""
        found = (await self.ask("GET", path, query=query)).get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise OperatorError(f"The answer has no {key} in it. Is this a switchboard? {self.http.base_url}/{path}")
        return cast("Sequence[Shown]", found)

    async def place(self, to: str | None, context: Mapping[str, str], **options: object) -> Shown:
        """Order a call; `options` are fields of the order, left out where they are None."""
        order = {"to": to, "context": dict(context) or None, **options}
        content = {name: value for name, value in order.items() if value is not None}
        return await self.ask("POST", "calls", content=content)

    async def export(self, name: str) -> AsyncIterator[bytes]:
        """Yield the ZIP file of the data kept about a number or a call."""
        with _explaining(self.http):
            async with self.http.stream("POST", "/export", json=named(name)) as response:
                if response.is_error:
                    await response.aread()
                    raise OperatorError(why_refused(response))
                async for chunk in response.aiter_bytes():
                    yield chunk

    async def refused_numbers(self) -> Sequence[Shown]:
        """Return the do-not-call list, page by page."""
        found, after = list[Shown](), ""
        while page := await self.listed("do-not-call", "numbers", {"after": after}):
            if (last := str(page[-1].get("number"))) == after:  # a proxy may have made the + of the number a space
                raise OperatorError(
                    f"Every page of the list is the same. Ask the server itself, not {self.http.base_url}"
                )
            found, after = [*found, *page], last
        return found

    async def follow(self, name: str) -> AsyncIterator[Shown]:
        """Go through the states of a call as they change, the last one with its record if it left one."""
        told, spoke, record_by = "", False, math.inf
        while True:
            shown = await self.ask("GET", "calls", name)
            status = str(shown["status"])
            if status in FINAL_STATUSES:
                waits = RECORD_SECONDS if spoke or shown.get("outcome") else 0
                record_by = min(record_by, trio.current_time() + waits)
                if shown.get("record") is not None or trio.current_time() >= record_by:
                    yield shown
                    return
            elif status != told:
                yield shown
            told, spoke = status, spoke or status == "in-progress"
            await trio.sleep(POLL_SECONDS)
