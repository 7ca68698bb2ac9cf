"""HTTP clients that ask the world through the proxy of the environment, and this machine without one.

httpx takes `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` as every program does. Nobody's proxy leads back to
this machine, and it is not to see the API token.
"""

import math
from typing import Any, Final

import httpx

_HERE: Final = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")
_PROXIES: Final = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"


def http_client(**options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - they are httpx's
    """Make a client. Raises: `OSError` for a proxy that httpx cannot use."""
    try:
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
