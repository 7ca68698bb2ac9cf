"""Ask an OpenAI-compatible endpoint every case, as often as it takes, and keep each answer as it comes.

`Prober` owns nothing but the limit of requests at a time. A busy endpoint (429, 5xx, a lost connection) is asked again
after the time it names; any other refusal, no connection, or an answer that cannot be read, is a `ProbeError`, and what
was answered so far is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import httpx
import orjson
import trio

from agents.roster import Roster
from testkit.probe.cases import Case
from testkit.probe.cassettes import Cassette, Cassettes, Run
from web.clients.http import retry_after

ATTEMPTS: Final = 6
LONGEST_WAIT: Final = 60.0
AT_A_TIME: Final = 4
_EXCERPT: Final = 300


class ProbeError(Exception):
    """The endpoint cannot be asked; the message says why."""


@attrs.define(eq=False)
class Prober:
    """One probe of one roster and model."""

    http: httpx.AsyncClient
    """With the endpoint as its base URL, and the key."""
    roster: Roster
    model: str
    cassettes: Cassettes
    runs: int
    progress: Callable[[int, int], None]
    _left: int = attrs.field(default=0, init=False)

    async def ask(self, cases: Sequence[Case]) -> None:
        """Ask every case until it has as many runs as wanted; those that it has are not asked again.

        *Raises* groups of `ProbeError` and `CassetteError`.
        """
        todo = [(case, kept) for case in cases if len((kept := self._kept(case)).runs) < self.runs]
        asked = sum(self.runs - len(kept.runs) for _, kept in todo)
        self._left, limit = asked, trio.CapacityLimiter(AT_A_TIME)
        self.progress(0, asked)
        async with trio.open_nursery() as nursery:
            for case, kept in todo:
                nursery.start_soon(self._ask_case, case, kept, limit, asked)

    def _kept(self, case: Case) -> Cassette:
        key = case.key(self.roster, self.model)
        kept = self.cassettes.load(case.name, self.model)
        return kept if kept is not None and kept.key == key else Cassette(case.name, self.model, key)

    async def _ask_case(self, case: Case, kept: Cassette, limit: trio.CapacityLimiter, asked: int) -> None:
        body = orjson.dumps(case.request(self.roster, self.model))
        while len(kept.runs) < self.runs:
            async with limit:
                run = await self._ask_once(body)
            kept = attrs.evolve(kept, runs=(*kept.runs, run))
            self.cassettes.save(kept)
            self._left -= 1
            self.progress(asked - self._left, asked)

    async def _ask_once(self, body: bytes) -> Run:
        wait, why = 0.0, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await trio.sleep(min(LONGEST_WAIT, wait))
            began, wait = trio.current_time(), 2.0**attempt
            try:
                answer = await self.http.post(
                    "chat/completions", content=body, headers={"Content-Type": "application/json"}
                )
            except httpx.RequestError as error:
                why = f"{type(error).__name__}: {error}"
                if isinstance(error, (httpx.ConnectError, httpx.DecodingError)):
                    break
                continue
            if answer.is_success:
                return read_answer(answer.content, trio.current_time() - began)
            why = f"HTTP {answer.status_code}: {answer.text[:_EXCERPT]}"
            if answer.status_code != 429 and answer.status_code < 500:
                break
            told = retry_after(answer)
            wait = wait if told is None else told
        raise ProbeError(f"{self.http.base_url} did not answer: {why}")


def read_answer(content: bytes, seconds: float) -> Run:
    """Read a chat completion. *Raises* `ProbeError`."""
    try:
        plain: Mapping[str, Any] = orjson.loads(content)
        message = plain["choices"][0]["message"]
        calls = [call["function"] for call in message.get("tool_calls") or []]
        usage = plain.get("usage") or {}
        return Run(
            text=str(message.get("content") or ""),
            calls=tuple((str(call["name"]), str(call.get("arguments") or "{}")) for call in calls),
            seconds=round(seconds, 3),
            tokens_in=int(usage.get("prompt_tokens") or 0),
            tokens_out=int(usage.get("completion_tokens") or 0),
        )
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        excerpt = content[:_EXCERPT].decode(errors="replace")
        raise ProbeError(f"the answer is no chat completion ({type(error).__name__}: {error}): {excerpt}") from error
