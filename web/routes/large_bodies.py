"""Larger bodies on a few routes, for requests that show the token: a campaign's numbers are some megabytes.

The framework takes a body in before any route is asked, so whether one may be large is decided by its headers.
"""

from collections.abc import Callable, Collection

from hypercorn.typing import HTTPScope
from quart_trio.wrappers import TrioRequest
from werkzeug.datastructures import Headers


def request_class(targets: Collection[str], most: int, may: Callable[[str], bool]) -> type[TrioRequest]:
    """Return a class of requests to `targets` that may have `most` bytes, where `may` says so of the authorization."""

    class Request(TrioRequest):
        """A request to an application some of whose routes take larger bodies."""

        def __init__(  # noqa: PLR0917 - the framework's
            self,
            method: str,
            scheme: str,
            path: str,
            query_string: bytes,
            headers: Headers,
            root_path: str,
            http_version: str,
            scope: HTTPScope,
            *,
            max_content_length: int | None = None,
            **more: object,
        ) -> None:
            if method == "POST" and path in targets and may(headers.get("authorization", "")):
                max_content_length = most
            super().__init__(
                method,
                scheme,
                path,
                query_string,
                headers,
                root_path,
                http_version,
                scope,
                max_content_length=max_content_length,
                **more,  # type: ignore[arg-type]
            )

    return Request
