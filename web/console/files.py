"""The files of the pages: styles, modules, worklets. They are read once, and served from memory.

The framework would open a file in a thread for each request. A browser asks again each time, and gets 304 while the
file is what it has.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

import attrs
from quart import Response, request

from web.routes.problems import problem

FOLDER = Path(__file__).parent / "static"
TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@attrs.frozen
class StaticFile:
    """One file, as it is sent."""

    content: bytes
    content_type: str
    etag: str


@cache
def read_files(folder: Path = FOLDER) -> Mapping[str, StaticFile]:
    """Read the files below a folder, by their paths in it. Blocks."""
    found: dict[str, StaticFile] = {}
    for path in folder.rglob("*"):
        if path.suffix in TYPES:
            content = path.read_bytes()
            found[path.relative_to(folder).as_posix()] = StaticFile(
                content, TYPES[path.suffix], sha256(content).hexdigest()[:32]
            )
    return found


async def static_file(filename: str) -> Response:
    """Send a file, or say that the browser has it."""
    file = read_files().get(filename)
    if file is None:
        return problem(404, "no such file", fix="Reload the page.")
    headers = {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache"}
    if file.etag in request.if_none_match:
        return Response("", 304, headers=headers)
    return Response(file.content, 200, headers=headers, content_type=file.content_type)
