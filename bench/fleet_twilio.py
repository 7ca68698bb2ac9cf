"""Twilio as `bench.fleet_chaos` plays it: creations and lists over a unix socket, so that it outlives every worker.

A worker sends one line of JSON and reads one back. A part of the creations goes wrong: the answer is lost, or says that
the service is out of order although the call was made; the call is made later than the answer was given up; it is never
made; it is refused. A call is in the list some time after it was made. Each call ends by itself as `busy`.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import trio

from web.clients.twilio import PLAIN_CALL, CallOptions, LineError

LISTED_SECONDS = 2.0
LATE_SECONDS = 4.0
HOW = {"answers": 62, "answer lost": 10, "late": 6, "never": 8, "out of order, and made": 8, "refused": 6}


@attrs.frozen
class MadeCall:
    """A call that there was."""

    call_sid: str
    order: str
    number: str
    at: float


@attrs.define(eq=False)
class FleetTwilio:
    """The account. `tell` is told of each call: its order and CallSid, from a thread."""

    folder: Path
    rng: random.Random
    tell: Callable[[str, str], None]
    calls: "list[MadeCall]" = attrs.field(factory=list)
    tried: "dict[str, list[str]]" = attrs.field(factory=dict)
    """For each order: what was done with each try to create its call."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock)
    _server: socket.socket = attrs.field(init=False)

    def start(self) -> None:
        """Listen, until `close`."""
        self._server = socket.socket(socket.AF_UNIX)
        address = self.folder / "twilio.sock"
        address.unlink(missing_ok=True)  # of a run before, whose folder is kept
        self._server.bind(str(address))
        self._server.listen(200)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.close()

    def made_for(self, order: str) -> "list[str]":
        """Return the calls of an order."""
        return [call.call_sid for call in list(self.calls) if call.order == order]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            asked = json.loads(connection.makefile().readline())
            answer = self._listed(asked) if asked["do"] == "list" else self._create(asked)
            if answer is not None:
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _listed(self, asked: "dict[str, str]") -> "dict[str, object]":
        now, since = time.time(), float(asked["since"])
        found = [call for call in list(self.calls) if call.number == asked["to"] and call.at >= since]
        return {"calls": [call.call_sid for call in found if call.at + LISTED_SECONDS <= now]}

    def _create(self, asked: "dict[str, str]") -> "dict[str, object] | None":
        with self._lock:
            how = self.rng.choices(list(HOW), list(HOW.values()))[0]
            self.tried.setdefault(asked["order"], []).append(how)
        match how:
            case "answers":
                return {"sid": self._make(asked)}
            case "answer lost":
                self._make(asked)
            case "out of order, and made":
                self._make(asked)
                return {"error": 503}
            case "late":
                threading.Timer(self.rng.uniform(0, LATE_SECONDS), self._make, (asked,)).start()
            case "refused":
                return {"error": 400}
            case _:
                pass  # it never arrives
        return None

    def _make(self, asked: "dict[str, str]") -> str:
        with self._lock:
            call = MadeCall(f"CA{len(self.calls):032d}", asked["order"], asked["to"], time.time())
            self.calls.append(call)
        self.tell(call.order, call.call_sid)
        return call.call_sid


@attrs.frozen
class SocketLine:
    """That account, as a worker asks it."""

    path: str

    async def _ask(self, asked: "dict[str, str]", *, writes: bool) -> "dict[str, object]":
        try:
            with trio.fail_after(3):
                stream = await trio.open_unix_socket(self.path)
                async with stream:
                    await stream.send_all(json.dumps(asked).encode() + b"\n")
                    answer = b"".join([part async for part in stream])
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as exc:
            raise LineError(f"no answer: {exc!r}", maybe_done=writes) from exc
        if not answer:
            raise LineError("no answer", maybe_done=writes)
        plain: dict[str, object] = json.loads(answer)
        if "error" in plain:
            refused = plain["error"] == 400
            raise LineError("refused", code=21217 if refused else 20503, maybe_done=writes and not refused)
        return plain

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:  # noqa: ARG002
        """Call somebody."""
        return str((await self._ask({"do": "create", "to": to, "order": order}, writes=True))["sid"])

    async def calls_to(self, to: str, seconds: float) -> "list[str]":
        """List calls."""
        asked = {"do": "list", "to": to, "since": repr(time.time() - seconds)}
        calls = (await self._ask(asked, writes=False))["calls"]
        assert isinstance(calls, list)
        return [str(call) for call in calls]

    async def status_of(self, call_sid: str) -> str | None:  # noqa: ARG002 - all of them end so
        """Tell that a call was not answered."""
        await trio.lowlevel.checkpoint()
        return "busy"

    async def hang_up(self, call_sid: str) -> None:
        """Do nothing."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Do nothing."""
