"""The whole server behind the phone's page, between simulated services: what `switchboard talk` is without a key."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGTERM

import attrs
import orjson
import trio

from actors.journal import Entry
from demo.stage import Door, warm_up
from demo.talk import simulated_services, talk_settings
from simulators.deepgram.ear import MakeHearing
from simulators.scenario import Scenario, load_scenario
from store.records import CallRecord, record_from_json
from web.from_settings import roster_of
from web.serving import serve_until, server_config


@attrs.define
class Talking:
    """A server that runs, and what it has noted of its calls."""

    origin: str
    folder: Path
    entries: list[Entry] = attrs.field(factory=list)

    def noted(self, event: str) -> int:
        """Return how often something of this name has happened."""
        return sum(entry.event == event for entry in tuple(self.entries))

    def records(self) -> list[CallRecord]:
        """Return the records that are kept."""
        found = sorted(self.folder.glob("CA*/record.json"), key=os.path.getmtime)
        return [record_from_json(orjson.loads(path.read_bytes())) for path in found]


@asynccontextmanager
async def talking(
    folder: Path,
    *,
    scenario: str | Scenario = "sale",
    make_hearing: Callable[[Scenario], MakeHearing] | None = None,
    typed: bool = False,
    changes: Mapping[str, str] | None = None,
) -> AsyncIterator[Talking]:
    """Serve until the block is left."""
    script = load_scenario(scenario) if isinstance(scenario, str) else scenario
    door = Door()
    there = Talking(door.url, folder)
    send, signals = trio.open_memory_channel[int](2)
    with send, signals:
        async with simulated_services(script, make_hearing(script) if make_hearing else None) as (voice, simulated):
            kept = {"RECORDINGS_DIR": str(folder), "DATABASE_URL": f"sqlite:///{folder}/calls.db", **(changes or {})}
            settings = talk_settings(kept, door.url, simulated)
            await warm_up(script, roster_of(settings))
            config = server_config(settings)
            config.bind = [door.bind]
            async with trio.open_nursery() as nursery:
                serve = partial(
                    serve_until, signals, settings, config, observe=there.entries.append, voice=voice if typed else None
                )
                await nursery.start(serve)
                yield there
                send.send_nowait(SIGTERM)
