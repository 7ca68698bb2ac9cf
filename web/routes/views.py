"""The files of a call, to look at and to hear: picture, recording, journal.

`CallViews` answers for API clients (`/calls/{name}/…`, with the bearer token) and for the console alike. A name is our
id of an order or Twilio's CallSid.
"""

from base64 import b64encode
from contextlib import suppress
from functools import partial
from hashlib import sha256
from http import HTTPStatus

import attrs
import orjson
from quart import Blueprint, Response, abort, request
from quart.typing import ResponseReturnValue
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header

from store.calls import readable_record
from store.records import TRANSFERRING
from web.calls.call_files import JOURNAL
from web.calls.context import AppContext
from web.picture.timeline import render_timeline, stylesheet
from web.routes.problems import is_call_sid, problem
from web.routes.watch import AUDIO, EVENTS, MOST_WATCHERS, TASKS, DiskStream, Stream, stream_of
from web.routes.watch_elsewhere import MANY, NONE, CallsElsewhere, read_tree

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

    def add_to(self, routes: Blueprint, prefix: str) -> None:
        routes.get(f"{prefix}/<name>/recording")(self.recording)
        routes.get(f"{prefix}/<name>/timeline.svg")(self.timeline)
        routes.get(f"{prefix}/<name>/journal")(self.journal)
        routes.get(f"{prefix}/<name>/events")(self.events)
        routes.get(f"{prefix}/<name>/audio")(self.audio)
        routes.get(f"{prefix}/<name>/tasks")(self.tasks)

    async def call_sid(self, name: str) -> str:
        """Return the CallSid of a call by either name; the name itself where it has none. Raises: `OSError`."""
        call = self.context.live_calls.find(name)
        if call is not None:
            return call.call_sid or call.id
        order = None if is_call_sid(name) else await self.context.orders.find(name)
        return (order.call_sid if order is not None else "") or name

    async def recording(self, name: str) -> ResponseReturnValue:
        recording = await self.context.files.recording(await self.call_sid(name))
        if recording is None:
            return no_such("recording")
        asked = _range_of(recording.size)
        begin, end = asked or (0, recording.size)
        response = Response(recording.part(begin, end), 200 if asked is None else 206, content_type="audio/wav")
        response.content_length = end - begin
        if asked is not None:
            response.content_range = ContentRange("bytes", begin, end, recording.size)
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
        self._refuse_more_watchers()
        found = await self._stream(call_sid, EVENTS, since)
        if isinstance(found, Response) and await self.context.files.has(call_sid, JOURNAL):
            found = DiskStream(self.context.files, call_sid, since, partial(self._is_kept, call_sid))
        elif isinstance(found, Response) and found.status_code == HTTPStatus.NOT_FOUND:
            found = no_such("journal")
        return _lasting(found, "text/event-stream")

    async def _is_kept(self, call_sid: str) -> bool:
        """Tell whether the database has a record of a call that is over."""
        with suppress(OSError):  # asked again within seconds
            record = await readable_record(self.context.services.records, call_sid)
            return record is not None and record.outcome != TRANSFERRING
        return False

    async def tasks(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        found = await self._stream(call_sid, TASKS)
        if isinstance(found, Response):
            return found
        if (tree := await read_tree(found)) is None:
            return _silent(await self.carried_elsewhere(call_sid))
        answer = orjson.dumps({"call_sid": call_sid, "tasks": orjson.Fragment(tree)})
        return Response(answer, 200, content_type="application/json")

    async def audio(self, name: str) -> ResponseReturnValue:
        call_sid = await self.call_sid(name)
        self._refuse_more_watchers()
        return _lasting(await self._stream(call_sid, AUDIO), "application/octet-stream")

    async def _stream(self, call_sid: str, what: str, since: str = "") -> Stream | Response:
        """Return a stream of a call that goes on, on whichever worker; or the answer that says why there is none."""
        if worker := await self.carried_elsewhere(call_sid):
            found: Stream | str = await self.elsewhere.watch(worker, call_sid, what, since)
        else:
            call = self.context.watched.find(call_sid)
            found = stream_of(call, what, since, partial(self.carried_elsewhere, call_sid)) or NONE
        if isinstance(found, Stream):
            return found
        return _over() if found == NONE else _too_many() if found == MANY else _silent(worker)

    def _refuse_more_watchers(self) -> None:
        if self.context.watched.watchers + self.elsewhere.watchers >= MOST_WATCHERS:
            abort(_too_many())

    async def carried_elsewhere(self, call_sid: str) -> str:
        """Return the name of the worker that carries a call, if it is another than this one; else ""."""
        here = self.context.watched.find(call_sid)
        if here is not None and (here.now is not None or here.over):
            return ""
        call = await self.context.fleet.find(call_sid)
        return call.worker if call is not None and call.worker != self.context.fleet.worker else ""


def _too_many() -> Response:
    return problem(503, "too many watch already", fix="Close other pages, or try again later.")


def _over() -> Response:
    return problem(404, "no call of this name goes on", fix="Ask while the call lasts.")


def _silent(worker: str) -> Response:
    told = f"worker {worker} carries this call, and does not answer"
    return problem(503, told, fix="Try again in some seconds.", retry_seconds=5)


def _lasting(stream: Stream | Response, content_type: str) -> Response:
    if isinstance(stream, Response):
        return stream
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep it to itself
    response = Response(stream, 200, headers=headers, content_type=content_type)
    response.timeout = None
    if request.method == "HEAD":  # for its headers alone nobody waits until the call is over
        stream.leave()
        response.set_data(b"")
        del response.headers["Content-Length"]
    return response


def no_such(what: str) -> Response:
    return problem(404, f"no {what} of this name is kept here", fix="Use a call of GET /calls; see RECORDINGS_DIR.")


def _range_of(size: int) -> tuple[int, int] | None:
    """Return the part of a file that the request asks for; None for all of it.

    What nobody could serve (another unit, several ranges) is as if it were not asked for.
    """
    asked = parse_range_header(request.headers.get("Range"))
    if asked is None or asked.units != "bytes" or len(asked.ranges) > 1:
        return None
    begin, end = asked.ranges[0]
    begin, end = begin if begin >= 0 else max(0, size + begin), size if end is None else min(end, size)
    if begin >= end:
        raise RequestedRangeNotSatisfiable(size)
    return begin, end
