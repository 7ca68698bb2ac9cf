"""The application for an ASGI server of your choice: `hypercorn -k trio server:app`.

`app` reads nothing until the server says that it starts. Then it reads the settings (the environment, and `.env`
beside it), opens what it needs, and is the web application until the server says that it stops. Told to stop, each
worker drains first. Settings that are wrong fail the start with all that is wrong with them.
"""

import multiprocessing
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import AsyncExitStack

import attrs
import structlog
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, LifespanScope, LifespanStartupFailedEvent, Scope
from quart_trio import QuartTrio

from agents.roster import RosterError
from setting_reader import SettingsError
from settings import Settings, environment, unknown_names
from web.serving import Started, started
from web.worker.draining import draining, leave_handlers
from web.worker.logs import configure_logs
from web.worker.memory import freeze_gc

_log = structlog.stdlib.get_logger()


def tell_of_workers(argv: Sequence[str]) -> None:
    """Warn that hypercorn does not replace a worker that dies, if it was started with several."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-w", "--workers", default="1")
    workers = parser.parse_known_args(argv[1:])[0].workers
    if workers.isdecimal() and int(workers) > 1:
        why = "when one of them dies, hypercorn has all the others drain, and exits with 0"
        fix = "Run one process a core, each with a port of its own, under a supervisor or Kubernetes."
        _log.warning("several_workers", workers=workers, why=why, fix=fix)


@attrs.define
class Switchboard:
    """An ASGI application that comes to life at `lifespan.startup`, one in each worker."""

    _running: QuartTrio | None = attrs.field(default=None, init=False)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one ASGI connection, or the application's own life."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self._running is None:
            raise RuntimeError("server:app needs an ASGI server with lifespan support: hypercorn -k trio server:app")
        else:
            await self._running(scope, receive, send)

    async def _live(self, scope: LifespanScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async with AsyncExitStack() as stack:
            stack.callback(leave_handlers)  # when all else is closed
            try:
                settings, ready = await self._start(stack)
            except (SettingsError, RosterError, OSError) as exc:
                problem = str(exc)
            else:
                if multiprocessing.parent_process() is not None:
                    tell_of_workers(sys.argv)  # hypercorn's, of which this is one
                self._running = ready.app
                drain = draining(ready.slots, settings.drain_timeout, ready.close_calls)
                await stack.enter_async_context(drain)
                freeze_gc()
                await self._running(scope, receive, send)
                return
        await receive()
        sys.stderr.write(f"\n{problem}\n\n")
        await send(LifespanStartupFailedEvent(type="lifespan.startup.failed", message=problem))

    @staticmethod
    async def _start(stack: AsyncExitStack) -> tuple[Settings, Started]:
        repeated = list[str]()
        environ = environment(tell=repeated.append)
        settings = Settings.from_environ(environ)
        configure_logs(settings.secrets())
        for line in unknown_names(environ):
            _log.warning("setting_unknown", says=line)
        for line in repeated:
            _log.warning("setting_repeated", says=line)
        return settings, await stack.enter_async_context(started(settings))


app = Switchboard()
