"""The files of a call, to look at and to hear: picture, recording, journal.

`CallViews` answers for API clients (`/calls/{name}/…`, with the bearer token) and for the console alike. A name is our
id of an order or Twilio's CallSid.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from typing import Self

import attrs
import orjson
from quart import Blueprint, Response, request, send_file
from quart.typing import ResponseReturnValue
from quart.wrappers.response import ResponseBody
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header

from store.calls import readable_record
from store.objects import BLOCK
from store.records import TRANSFERRING
from web.calls.call_files import JOURNAL, RECORDING, CallFiles
from web.calls.context import AppContext
from web.picture.palette import stylesheet
from web.picture.timeline import render_timeline
from web.routes.problems import is_call_sid, is_name, no_such_call, problem, unreachable
from web.routes.watch import MOST_WATCHERS, DiskStream, EventStream, ListenStream, Stream, tree_text
from web.routes.watch_elsewhere import AUDIO, EVENTS, MANY, NONE, CallsElsewhere, RemoteStream

LONGEST_ID = 100
PICTURE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(stylesheet().encode()).digest()).decode()}';"
    " frame-ancestors 'none'"
)
"""A picture has one style sheet, which is known, and nothing else that a browser would run or fetch."""


@attrs.frozen
class CallViews:
    context: AppContext
    elsewhere: CallsElsewhere

    def blueprint(self) -> Blueprint:
        routes = Blueprint("views", __name__, url_prefix="/calls")
        self.add_to(routes, "")
        routes.before_request(self.refuse_malformed)
        routes.errorhandler(OSError)(cannot_read)
        return routes

    def add_to(self, routes: Blueprint, prefix: str) -> None:
        routes.get(f"{prefix}/<name>/recording")(self.recording)
        routes.get(f"{prefix}/<name>/timeline.svg")(self.timeline)
        routes.get(f"{prefix}/<name>/journal")(self.journal)
        routes.get(f"{prefix}/<name>/events")(self.events)
        routes.get(f"{prefix}/<name>/audio")(self.audio)
        routes.get(f"{prefix}/<name>/tasks")(self.tasks)

    async def refuse_malformed(self) -> Response | None:
        return None if is_name((request.view_args or {}).get("name", "-")) else no_such_call()

    async def call_sid(self, name: str) -> str:
        """Return the CallSid of a call by either name; the name itself where it has none. Raises: `OSError`."""
        call = self.context.live_calls.find(name)
        if call is not None:
            return call.call_sid or call.id
        order = None if is_call_sid(name) else await self.context.orders.find(name)
        return (order.call_sid if order is not None else "") or name

    async def recording(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        path = self.context.files.path(call_sid, RECORDING)
        if path is not None and await self.context.files.is_here(call_sid, RECORDING):
            with _range_of((await self.context.files.in_thread(path.stat)).st_size):
                response = await send_file(path, mimetype="audio/wav", conditional=True)
        elif (size := await self.context.files.stored_bytes(call_sid)) is not None:
            response = await _stored_recording(self.context.files, call_sid, size)
        else:
            return no_such("recording")
        response.headers["Cache-Control"], response.headers["Accept-Ranges"] = "no-store", "bytes"
        return response

    async def timeline(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        entries = await self.context.files.journal(call_sid)
        if not entries:
            return no_such("journal")
        picture = await self.context.files.in_thread(partial(render_timeline, entries, title=call_sid))
        return Response(picture, 200, content_type="image/svg+xml", headers={"Content-Security-Policy": PICTURE_POLICY})

    async def journal(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        lines = await self.context.files.read(call_sid, JOURNAL)
        if lines is None:
            return no_such("journal")
        headers = {"Content-Disposition": f'attachment; filename="{call_sid}.jsonl"'}
        return Response(lines, 200, content_type="application/x-ndjson", headers=headers)

    async def events(self, name: str) -> ResponseReturnValue:
        call_sid, since = await self.call_sid(name), request.headers.get("Last-Event-ID", "")[:LONGEST_ID]
        if self._are_too_many:
            return _too_many()
        worker, call = await self.carried_elsewhere(call_sid), self.context.watched.find(call_sid)
        found: RemoteStream | str = NONE
        if worker:
            found = await self.elsewhere.watch(worker, call_sid, EVENTS, since)
            if isinstance(found, RemoteStream):
                return _lasting(found, "text/event-stream")
        elif call is not None:
            return _lasting(EventStream(call, since, partial(self.carried_elsewhere, call_sid)), "text/event-stream")
        if await self.context.files.has(call_sid, JOURNAL):
            stream = DiskStream(self.context.files, call_sid, since, partial(self._is_kept, call_sid))
            return _lasting(stream, "text/event-stream")
        return no_such("journal") if found == NONE else _unwatched(worker, found)

    async def _is_kept(self, call_sid: str) -> bool:
        """Tell whether the database has a record of a call that is over."""
        with suppress(OSError):  # asked again within seconds
            record = await readable_record(self.context.services.records, call_sid)
            return record is not None and record.outcome != TRANSFERRING
        return False

    async def tasks(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        call = self.context.watched.find(call_sid)
        if call is not None and call.now is not None:
            tree: bytes | str = tree_text(call)
        elif worker := await self.carried_elsewhere(call_sid):
            tree = await self.elsewhere.tree(worker, call_sid)
            if isinstance(tree, str):
                return _unwatched(worker, tree)
        else:
            return _over()
        answer = orjson.dumps({"call_sid": call_sid, "tasks": orjson.Fragment(tree or b"[]")})
        return Response(answer, 200, content_type="application/json")

    async def audio(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        if self._are_too_many:
            return _too_many()
        worker, call = await self.carried_elsewhere(call_sid), self.context.watched.find(call_sid)
        if worker:
            found = await self.elsewhere.watch(worker, call_sid, AUDIO)
            if isinstance(found, RemoteStream):
                return _lasting(found, "application/octet-stream")
            return _unwatched(worker, found)
        if call is None or call.now is None:
            return _over()
        return _lasting(ListenStream(call), "application/octet-stream")

    async def carried_elsewhere(self, call_sid: str) -> str:
        """Return the name of the worker that carries a call, if it is another than this one; else ""."""
        here = self.context.watched.find(call_sid)
        if here is not None and (here.now is not None or here.over):
            return ""
        call = await self.context.fleet.find(call_sid)
        return call.worker if call is not None and call.worker != self.context.fleet.worker else ""

    @property
    def _are_too_many(self) -> bool:
        return self.context.watched.watchers + self.elsewhere.watchers >= MOST_WATCHERS


def _too_many() -> Response:
    return problem(503, "too many watch already", fix="Close other pages, or try again later.")


def _over() -> Response:
    return problem(404, "no call of this name goes on", fix="Ask while the call lasts.")


def _unwatched(worker: str, why: RemoteStream | str) -> Response:
    """Say why the worker that was to carry a call shows nothing of it."""
    if why == NONE:
        return _over()
    if why == MANY:
        return _too_many()
    told = f"worker {worker} carries this call, and does not answer"
    return problem(503, told, fix="Try again in some seconds.", retry_seconds=5)


def _lasting(stream: Stream, content_type: str) -> Response:
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep it to itself
    response = Response(stream, 200, headers=headers, content_type=content_type)
    response.timeout = None
    if request.method == "HEAD":  # for its headers alone nobody waits until the call is over
        stream.leave()
        response.set_data(b"")
        del response.headers["Content-Length"]
    return response


cannot_read = unreachable("this call cannot be looked up now", "call_not_looked_up")


def no_such(what: str) -> Response:
    return problem(404, f"no {what} of this name is kept here", fix="Use a call of GET /calls; see RECORDINGS_DIR.")


@attrs.define
class StoredRecording(ResponseBody):
    """Bytes `begin` to `end` of the recording of a call in the object store, as the body of an answer.

    It is read a block at a time, and no further than it is sent: a player that skips costs what it hears. A store that
    fails in the middle ends the answer early, which the client sees by its length.
    """

    files: CallFiles
    call_sid: str
    begin: int
    end: int

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        objects = self.files.objects
        if objects is None or self.begin >= self.end:
            raise StopAsyncIteration
        end = min(self.begin + BLOCK, self.end)
        block = await self.files.in_store(partial(objects.read, self.call_sid, self.begin, end))
        if not block:
            raise StopAsyncIteration
        self.begin += len(block)
        return block

    async def make_conditional(self, begin: int, end: int | None) -> int:
        """Take the range that the client wants, in Quart's words; return how long the whole is."""
        size = self.end
        self.begin = begin
        self.end = min(size, size if end is None else end)
        if not 0 <= self.begin < self.end:
            raise RequestedRangeNotSatisfiable
        return size


@contextmanager
def _range_of(size: int) -> Iterator[None]:
    """Have the `Range` of the request be as Quart takes it: from where to where.

    Quart fails for the last so many bytes, refuses what is to be passed over (another unit, several ranges), and says
    of an end behind the last byte what was asked for. A range behind the last byte is refused with the size.
    """
    asked = parse_range_header(request.headers.get("Range"))
    if asked is None or asked.units != "bytes" or len(asked.ranges) > 1:
        request.headers.pop("Range", None)
    else:
        begin, end = asked.ranges[0]
        if begin < 0 or (end is not None and end > size):
            request.headers["Range"] = f"bytes={begin if begin >= 0 else max(0, size + begin)}-"
    try:
        yield
    except RequestedRangeNotSatisfiable:
        raise RequestedRangeNotSatisfiable(size) from None


async def _stored_recording(files: CallFiles, call_sid: str, size: int) -> Response:
    response = Response(StoredRecording(files, call_sid, 0, size), 200, content_type="audio/wav")
    response.content_length = size
    with _range_of(size):
        return await response.make_conditional(request, accept_ranges=True, complete_length=size)
