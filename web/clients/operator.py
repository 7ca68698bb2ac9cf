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

from protocol.phone_numbers import is_phone_number
from protocol.twilio import FINAL_STATUSES

Shown: TypeAlias = Mapping[str, object]

POLL_SECONDS = 1.0
COMMAND_SECONDS = 70.0
"""For a command: the server answers within a minute."""
FORGET_SECONDS = 300.0
"""Large tables are vacuumed, a checkpoint of PostgreSQL's is waited for, and other workers are."""
RECORD_SECONDS = 10.0
"""How long after the end of a call its record may take to appear."""


class OperatorError(Exception):
    """The server did not do what was asked; the message says why and what to do."""


NOT_UTF8 = "What you wrote is not UTF-8. Set the terminal to UTF-8, and write it again."


def in_address(name: str) -> str:
    """Write a name as a part of an address; what the terminal gave us and is no text is a question mark there."""
    return quote(name, safe="", errors="replace")


def in_path(name: str) -> str:
    """Write a name as one step of a path. Raises: `OperatorError` for what would lead to another address."""
    if name.strip() in {"", ".", ".."} or "/" in name:
        told = f'"{name}" is no name' if name.strip() else "The name is empty"
        raise OperatorError(f"{told}. Copy it from the list: switchboard calls, campaign list or do-not-call list.")
    return in_address(name)


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


async def ask(
    http: httpx.AsyncClient, method: str, target: str, content: object = None, within: float | None = None
) -> httpx.Response:
    """Ask a server something; `within` is in seconds, if not as usual. Raises: `OperatorError`."""
    timeout = http.timeout if within is None else within
    with _explaining(http):
        response = await http.request(method, target, json=content, timeout=timeout)
    if response.is_error:
        raise OperatorError(why_refused(response))
    return response


def shown_by(response: httpx.Response) -> Shown:
    """Return the JSON object of an answer. Raises: `OperatorError`."""
    with suppress(ValueError):
        if isinstance(shown := response.json(), dict):
            return shown
    raise OperatorError(why_refused(response))


def _named(name: str) -> Mapping[str, object]:
    return {"number": name} if is_phone_number(name) else {"call": name}


@attrs.frozen
class Operator:
    """A client of one server. Every method raises `OperatorError`."""

    http: httpx.AsyncClient

    async def place(self, to: str | None, context: Mapping[str, str], **options: object) -> Shown:
        """Order a call; `options` are fields of the order, left out where they are None."""
        order = {name: value for name, value in options.items() if value is not None}
        if context:
            order["context"] = dict(context)
        if to is not None:
            order["to"] = to
        return await self._ask("POST", "/calls", order)

    async def show(self, name: str) -> Shown:
        return await self._ask("GET", f"/calls/{in_path(name)}")

    async def hang_up(self, name: str, *, goodbye: bool) -> Shown:
        return await self._ask("DELETE", f"/calls/{in_path(name)}{'?goodbye=yes' * goodbye}")

    async def recent(self, limit: int) -> Sequence[Shown]:
        return await self._listed(f"/calls?limit={limit}", "calls")

    async def kept(self, name: str) -> Shown:
        return await self._ask("POST", "/kept", _named(name))

    async def forget(self, name: str) -> Shown:
        """Erase the data kept about a number or a call; return the proof."""
        return await self._ask("POST", "/forget", _named(name), within=FORGET_SECONDS)

    async def export(self, name: str) -> AsyncIterator[bytes]:
        """Yield the ZIP file of the data kept about a number or a call."""
        with _explaining(self.http):
            async with self.http.stream("POST", "/export", json=_named(name)) as response:
                if response.is_error:
                    await response.aread()
                    raise OperatorError(why_refused(response))
                async for chunk in response.aiter_bytes():
                    yield chunk

    async def live(self) -> Sequence[Shown]:
        """Return the calls that go on, newest first: the agent on the floor, for how long, and the last words."""
        return await self._listed("/calls?live=yes&limit=500", "calls")

    async def command(self, name: str, command: str, fields: Mapping[str, str]) -> Shown:
        """Give a call a command; return what became of it, if it is done."""
        given = {field: text for field, text in fields.items() if text}
        return await self._ask("POST", f"/calls/{in_path(name)}/{command}", given, COMMAND_SECONDS)

    async def webhooks(self, state: str) -> Sequence[Shown]:
        """Return the newest webhooks in a state: dead, waiting or sent."""
        return await self._listed(f"/webhooks?state={in_address(state)}", "webhooks")

    async def resend(self, ids: Sequence[str]) -> int:
        """Have dead webhooks sent again, all where no ids are given; return how many."""
        return cast("int", (await self._ask("POST", "/webhooks/resend", {"ids": list(ids) or "all"}))["resent"])

    async def create_campaign(self, given: Mapping[str, object]) -> Shown:
        return await self._ask("POST", "/campaigns", given)

    async def campaigns(self) -> Sequence[Shown]:
        return await self._listed("/campaigns", "campaigns")

    async def campaign(self, name: str) -> Shown:
        return await self._ask("GET", f"/campaigns/{in_path(name)}")

    async def turn_campaign(self, name: str, command: str) -> Shown:
        return await self._ask("POST", f"/campaigns/{in_path(name)}/{command}")

    async def export_campaign(self, name: str, form: str) -> bytes:
        return (await ask(self.http, "GET", f"/campaigns/{in_path(name)}/export?format={form}")).content

    async def refuse_number(self, number: str, why: str) -> None:
        await ask(self.http, "PUT", f"/do-not-call/{in_path(number)}?why={in_address(why)}")

    async def allow_number(self, number: str) -> None:
        await ask(self.http, "DELETE", f"/do-not-call/{in_path(number)}")

    async def refused_numbers(self) -> Sequence[Shown]:
        """Return the do-not-call list, page by page."""
        found, after = list[Shown](), ""
        while page := await self._listed(f"/do-not-call?after={in_address(after)}", "numbers"):
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
            shown = await self.show(name)
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

    async def _listed(self, target: str, key: str) -> Sequence[Shown]:
        found = (await self._ask("GET", target)).get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise OperatorError(f"The answer has no {key} in it. Is this a switchboard? {self.http.base_url}{target}")
        return cast("Sequence[Shown]", found)

    async def _ask(self, method: str, target: str, order: object = None, within: float | None = None) -> Shown:
        return shown_by(await ask(self.http, method, target, order, within))
