"""Webhooks by the Standard Webhooks convention (https://www.standardwebhooks.com), and never to a private address.

`WebhookClient.post` sends one message to the one URL of the settings, signed with each secret. The host is looked up
once, and the connection goes to the address that was checked: what the name says a moment later is no matter. No
redirect is followed, no proxy of the environment used, no answer read beyond its status. Whatever goes wrong is a text,
not an error.
"""

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

import attrs
import httpx
import trio

POST_SECONDS: Final = 10.0
"""For all of it: looking up, connecting, sending, and the status of the answer."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_PORTS: Final = {"https": 443, "http": 80}


def is_public(text: str) -> bool:
    """Tell whether an address is one of the public internet; an IPv4 address within an IPv6 one decides."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return address.is_global and not address.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None)


def signature(secret: bytes, name: str, timestamp: int, body: bytes) -> str:
    digest = hmac.new(secret, b"%s.%d.%s" % (name.encode(), timestamp, body), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


@attrs.frozen
class WebhookClient:
    """A client of one URL. The code that made `http` closes it."""

    url: str
    secrets: Sequence[bytes] = attrs.field(repr=False)
    http: httpx.AsyncClient
    allows_private: bool = False

    async def post(self, name: str, body: bytes) -> str:
        """Send one message; return why it has not arrived, or nothing."""
        why = f"no answer within {POST_SECONDS:g} s"
        with trio.move_on_after(POST_SECONDS):
            try:
                why = await self._post(name, body)
            except (httpx.HTTPError, OSError, trio.BrokenResourceError) as exc:
                why = type(exc).__name__
        return why

    async def _post(self, name: str, body: bytes) -> str:
        address = await self._address()
        if address is None:
            return "its host has no address of the public internet (CALL_WEBHOOK_PRIVATE)"
        async with self.http.stream(
            "POST",
            httpx.URL(self.url).copy_with(host=address, userinfo=b""),
            content=body,
            headers=self._headers(name, body),
            extensions={"sni_hostname": urlsplit(self.url).hostname},
        ) as answer:
            if answer.is_success:
                return ""
            return (
                f"HTTP {answer.status_code}{', and redirects are not followed' if answer.has_redirect_location else ''}"
            )

    def _headers(self, name: str, body: bytes) -> dict[str, str]:
        now = int(time.time())
        return {
            "host": urlsplit(self.url).netloc.rpartition("@")[2],
            "content-type": "application/json",
            "user-agent": "switchboard",
            "webhook-id": name,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signature(secret, name, now, body) for secret in self.secrets),
        }

    async def _address(self) -> str | None:
        """Look the host up, once; return the first address that may be connected to."""
        parts = urlsplit(self.url)
        port = parts.port or _PORTS[parts.scheme]
        found = await trio.socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        return next((one for one in addresses if self.allows_private or is_public(one)), None)
