"""A telephone line to the real server: real sockets on this machine, simulators at their other ends, a fast clock.

`open_line` is a whole world for one test, in the test's own process: the application under hypercorn, Twilio, Deepgram
and Groq, each on a port of its own. Its seconds are the clock's, everybody's timeouts included; a test asks for
`fast_clock`, where ten of them are a real one.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import TypeVar

import attrs
import httpx
import trio

from actors.journal import Entry
from demo.stage import LINE, Stage, open_stage
from simulators.deepgram import DeepgramKnobs
from simulators.faults import parse_fault
from simulators.scenario import Answers, Scenario, load_scenario
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.exchange import TwilioKnobs
from store.records import CallRecord
from store.sql import SqlRecords

SHORT = load_scenario(Path(__file__).with_name("short.toml"))
PATIENCE = 120.0
_USUAL: Mapping[str, str] = {"MAX_CALLS": "50", "CALLER_SILENCE": "off"}

T = TypeVar("T")


@attrs.define(eq=False)
class Line:
    """The running world. `entries` is the journal of every call, as it is written."""

    stage: Stage
    records: SqlRecords
    entries: list[Entry]

    @property
    def operator(self) -> httpx.AsyncClient:
        """Ask the server's own routes, with the token."""
        return self.stage.operator

    @property
    def calls(self) -> Sequence[SimulatedCall]:
        """The calls at Twilio, in the order of their placing."""
        return tuple(self.stage.twilio.calls.values())

    async def order(self, **order: object) -> httpx.Response:
        """Ask the server for a call to the scenario's caller; name what is ordered besides."""
        return await self.operator.post("/calls", json={"to": self.stage.twilio.scenario.caller.number, **order})

    def call_in(self, from_: str | None = None) -> SimulatedCall:
        """Let the scenario's caller call the server."""
        origin = self.stage.settings.lead_server_external_url
        return self.stage.twilio.call_in(
            f"{origin}/twilio/voice", to=LINE, from_=from_, status_callback=f"{origin}/twilio/status"
        )

    async def call_out(self, **order: object) -> SimulatedCall:
        """Have the server call the scenario's caller, until the call is over."""
        answer = await self.order(**order)
        assert answer.status_code == 201, answer.text
        call = self.stage.twilio.calls[answer.json()["call_sid"]]
        await self.wait_over(call)
        return call

    async def wait_over(self, *calls: SimulatedCall) -> None:
        """Wait until these calls are over, at Twilio and for the server."""
        with trio.fail_after(PATIENCE):
            for call in calls:
                await call.wait_over()
            while (await self.operator.get("/readyz")).json()["calls"]:  # noqa: ASYNC110 - it is asked, over a socket
                await trio.sleep(0.5)

    async def show(self, call: SimulatedCall) -> Mapping[str, object]:
        """Ask the server what it knows of a call."""
        shown: Mapping[str, object] = (await self.operator.get(f"/calls/{call.sid}")).json()
        return shown

    async def record_of(self, call: SimulatedCall) -> CallRecord:
        """Read what is kept of a call: on a busy machine it is kept a moment after the call has left the list."""
        with trio.fail_after(PATIENCE):
            while (record := await self.records.get(call.sid)) is None:  # noqa: ASYNC110 - it is on a disk
                await trio.sleep(0.1)
        return record

    def facts(self, kind: type[T]) -> list[T]:
        """Return the facts of one kind, of all calls."""
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kind)]

    def sigterm(self) -> None:
        """Send the server its SIGTERM."""
        self.stage.signals.send_nowait(SIGTERM)


@asynccontextmanager
async def open_line(
    folder: Path,
    scenario: Scenario = SHORT,
    *faults: str,
    answers: Answers = "human",
    twilio: TwilioKnobs | None = None,
    **changes: str,
) -> AsyncIterator[Line]:
    """Start the world; end it in order. `changes` are settings by name; `answers` is how the caller's phone does."""
    caller = attrs.evolve(scenario.caller, answers=answers)
    scenario = attrs.evolve(scenario, caller=caller, faults=(*scenario.faults, *map(parse_fault, faults)))
    entries: list[Entry] = []
    async with open_stage(
        scenario,
        folder,
        entries.append,
        changes={**_USUAL, "DATABASE_URL": f"sqlite:///{folder}/calls.db", **changes},
        twilio_knobs=twilio or TwilioKnobs(bundle=10),
        deepgram_knobs=DeepgramKnobs(slice_ms=200),
    ) as stage:
        yield Line(stage, SqlRecords(stage.settings.database_url), entries)
