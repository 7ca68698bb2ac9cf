"""The simulated Voice Agent service on a real port.

`serve_deepgram` listens, checks each upgrade as the service does (path, credentials, capacity faults) and serves every
accepted connection by `converse`. Refusals are HTTP answers; a connection's trouble stays in that connection.
"""

import ssl
import uuid
from collections.abc import Sequence
from functools import partial
from random import Random

import attrs
import trio
from trio_websocket import WebSocketRequest, wrap_server_stream

from simulators.asgi import HOST
from simulators.deepgram.ear import MakeHearing
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.log import ExchangeLog, Refused
from simulators.deepgram.models import answer_plain_request, is_authorised
from simulators.deepgram.session import converse, utterances_of
from simulators.faults import FaultPlan
from simulators.scenario import Scenario
from simulators.sockets import PEER_ERRORS, PeerSocket, Reader, separate_reader

PATH = "/v1/agent/converse"
QUEUED_MESSAGES = 64
HANDSHAKE_SECONDS = 10.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
REFUSALS = {401: "INVALID_AUTH", 404: "NOT_FOUND", 429: "TOO_MANY_REQUESTS", 503: "SERVICE_UNAVAILABLE"}


@attrs.define(eq=False)
class VoiceAgentService:
    """The parts that all connections of one server share."""

    _scenario: Scenario
    _knobs: DeepgramKnobs
    _faults: FaultPlan
    _api_key: str | None
    _log: ExchangeLog
    _make_hearing: MakeHearing | None = None
    _connections: int = attrs.field(default=0, init=False)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one TCP connection; whatever its client does ends it at worst."""
        try:
            upgrade: trio.abc.Stream | None = None
            with trio.move_on_after(HANDSHAKE_SECONDS):
                upgrade = await answer_plain_request(stream, self._api_key, self._knobs.retired)
            if upgrade is not None:
                self._connections += 1
                connection = self._connections
                async with separate_reader() as reader:
                    await self._handle(upgrade, connection, reader)
        except* PEER_ERRORS:
            pass  # it is gone
        await trio.aclose_forcefully(stream)

    async def _handle(self, stream: trio.abc.Stream, connection: int, reader: Reader) -> None:
        wrap = partial(
            wrap_server_stream,
            reader.nursery,
            stream,
            message_queue_size=QUEUED_MESSAGES,
            max_message_size=MAX_MESSAGE_BYTES,
        )
        request: WebSocketRequest | None = None
        with trio.move_on_after(HANDSHAKE_SECONDS):
            request = await reader.wait_for(wrap)
        if request is None:
            return
        if self._faults.for_connection(connection).has("no upgrade"):
            await trio.sleep_forever()
        status = self._verdict(request, connection)
        if status is None:
            await self._accept(request, stream, connection, reader)
        else:
            self._log.put(Refused(trio.current_time(), connection, status))
            await request.reject(status, body=f'{{"err_code":"{REFUSALS[status]}"}}'.encode())

    def _verdict(self, request: WebSocketRequest, connection: int) -> int | None:
        """Return the HTTP status of a refusal, or None."""
        if request.path.partition("?")[0] != PATH:
            return 404
        if not self._is_authorised(request):
            return 401
        return self._faults.for_connection(connection).number("refuse connect") or None

    def _is_authorised(self, request: WebSocketRequest) -> bool:
        """Check `Authorization`, or its twin in `Sec-WebSocket-Protocol`."""
        headers = {name.lower(): value.decode("latin-1") for name, value in request.headers}
        scheme, _, credential = headers.get(b"authorization", "").partition(" ")
        if not credential and len(request.proposed_subprotocols) == 2:
            scheme, credential = request.proposed_subprotocols
        return is_authorised(scheme, credential, self._api_key)

    async def _accept(
        self, request: WebSocketRequest, stream: trio.abc.Stream, connection: int, reader: Reader
    ) -> None:
        request_id = uuid.UUID(int=Random(f"{self._knobs.seed}/{connection}").getrandbits(128), version=4)
        offered: Sequence[str] = request.proposed_subprotocols
        socket = await request.accept(
            subprotocol=offered[0] if offered else None,
            extra_headers=[(b"dg-request-id", str(request_id).encode())],
        )
        await converse(
            PeerSocket(socket, reader),
            self._scenario,
            connection=connection,
            knobs=self._knobs,
            faults=self._faults,
            log=self._log,
            drop=partial(trio.aclose_forcefully, stream),
            make_hearing=self._make_hearing,
        )


async def serve_deepgram(
    scenario: Scenario,
    *,
    port: int = 0,
    knobs: DeepgramKnobs | None = None,
    faults: FaultPlan | None = None,
    api_key: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    log: ExchangeLog | None = None,
    make_hearing: MakeHearing | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the Voice Agent API until cancelled; reports the bound port.

    Without `api_key` any `Token` will do, but there must be one. Port 0 takes a free one. `make_hearing` is as in
    `converse`.
    """
    plan = FaultPlan(scenario.faults) if faults is None else faults
    service = VoiceAgentService(scenario, knobs or DeepgramKnobs(), plan, api_key, log or ExchangeLog(), make_hearing)
    utterances_of(scenario)  # synthesised now, so that no caller waits for it
    listeners: list[trio.abc.Listener[trio.abc.Stream]] = []
    bound = 0
    for listener in await trio.open_tcp_listeners(port, host=HOST):
        bound = listener.socket.getsockname()[1]
        listeners.append(listener if ssl_context is None else trio.SSLListener(listener, ssl_context))
    task_status.started(bound)
    await trio.serve_listeners(service.serve, listeners)
