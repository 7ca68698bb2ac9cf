"""HTTP clients that ask the world through the proxy of the environment, and this machine without one.

httpx takes `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` as every program does. Nobody's proxy leads back to
this machine, and it is not to see the API token.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final

import httpx

_HERE: Final = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")
_PROXIES: Final = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"


@contextmanager
def _readable_no_proxy() -> Iterator[None]:
    """Have httpx (0.28) see no entry of `NO_PROXY` that it cannot read: it would make no client at all."""
    told = {name: os.environ[name] for name in ("NO_PROXY", "no_proxy") if name in os.environ}
    os.environ.update({name: ",".join(filter(None, map(_readable, text.split(",")))) for name, text in told.items()})
    try:
        yield
    finally:
        os.environ.update(told)


def _readable(entry: str) -> str:
    """Return an entry as httpx reads it: an address of IPv6 without brackets, and no network of IPv6."""
    bare = entry.strip().strip("[]")
    if bare.count(":") <= 1 or "://" in entry:
        return entry
    try:
        return str(ip_address(bare))
    except ValueError:
        return ""


def http_client(**options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - they are httpx's
    """Make a client. Raises: `OSError` for a proxy that httpx cannot use."""
    try:
        with _readable_no_proxy():
            return httpx.AsyncClient(mounts=dict.fromkeys(_HERE), **options)
    except (ImportError, ValueError, httpx.InvalidURL) as exc:
        raise OSError(f"the proxy that {_PROXIES} names cannot be used: {exc}") from exc


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds that a service asks us to wait, whole or not; None where it names no such number."""
    try:
        seconds = float(answer.headers.get("retry-after", ""))
    except ValueError:
        return None
    return None if math.isnan(seconds) else max(seconds, 0.0)
