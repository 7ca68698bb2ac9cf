"""Twilio's signatures: a request is checked against the one public address that we gave Twilio.

`TwilioSignatures` fails closed: a missing header, an unknown algorithm, an unsigned body, an unreadable URL
are all "no". It does not trust the host or scheme the server sees, for behind a proxy they are not what Twilio signed:
of a Host header it takes the capitals, if it is our host. It says nothing about freshness: a signature has no time in
it, so streams also carry a single-use token (`web.calls.admission`).

The algorithm is https://www.twilio.com/docs/usage/security#validating-requests; the signing is the SDK's
`RequestValidator.compute_signature`, the comparing is `hmac.compare_digest`.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

import attrs
from twilio.request_validator import SIGNATURE_SETTINGS_HEADER, RequestValidator, get_signature_algorithm
from werkzeug.datastructures import MultiDict

SIGNATURE = "x-twilio-signature"
SIGNATURE_SETTINGS = SIGNATURE_SETTINGS_HEADER.lower()
NOT_SIGNED = "not signed by Twilio for our public address"
Content: TypeAlias = MultiDict[str, str] | bytes
"""What a request has with it: a form, or a raw body."""
_DEFAULT_PORTS = {"https": (443,), "http": (80,), "wss": (443, 80), "ws": (80,)}
"""The SDK's own validator tries 80 for wss; Twilio may as well sign the 443 that is meant."""


def _with_port(url: SplitResult, port: int | None) -> str:
    host = url.netloc if url.port is None else url.netloc.rpartition(":")[0]
    return urlunsplit(url._replace(netloc=host if port is None else f"{host}:{port}"))


def _spellings(address: str, called: str) -> Iterator[str]:
    """Go through the forms under which Twilio may have signed `address`, itself first: with and without a default port.

    A host may be written in capitals at Twilio, which signs what is written there; `called` is its Host header.
    """
    url = urlsplit(address)._replace(fragment="")
    if called != url.netloc and called.lower() == url.netloc.lower():
        yield from _spellings(urlunsplit(url._replace(netloc=called)), "")
    yield urlunsplit(url)
    for port in _DEFAULT_PORTS.get(url.scheme, ()) if url.port is None else (None,):
        yield _with_port(url, port)


def _body_is_vouched_for(address: str, body: bytes) -> bool:
    if not body:
        return True
    promised = parse_qs(urlsplit(address).query).get("bodySHA256", [""])[0]
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), promised.lower().encode())


def is_signed(auth_token: str, address: str, headers: Mapping[str, str], content: Content = b"") -> bool:
    """Tell whether the holder of `auth_token` has signed this. `headers` has lower-case names."""
    signature = headers.get(SIGNATURE, "")
    if not signature:
        return False
    validator = RequestValidator(auth_token)
    try:
        algorithm = get_signature_algorithm(headers.get(SIGNATURE_SETTINGS))
        form = content if isinstance(content, MultiDict) else None
        is_vouched_for = not isinstance(content, bytes) or _body_is_vouched_for(address, content)
        return is_vouched_for and any(
            hmac.compare_digest(validator.compute_signature(spelling, form, algorithm).encode(), signature.encode())
            for spelling in _spellings(address, headers.get("host", ""))
        )
    except ValueError:
        return False


@attrs.frozen
class TwilioSignatures:
    """Checks signatures of requests to one public origin (`https://agent.example.com`).

    `auth_token` is the account's, or several with commas: while it is changed, Twilio may sign with either.
    """

    origin: str
    auth_token: str = attrs.field(repr=False)

    @property
    def socket_origin(self) -> str:
        """The origin as a WebSocket's: `wss` for `https`."""
        return "ws" + self.origin.removeprefix("http")

    def _accepts(self, address: str, headers: Mapping[str, str], content: Content = b"") -> bool:
        return any(is_signed(token, address, headers, content) for token in self.auth_token.split(","))

    def accepts_webhook(self, target: str, headers: Mapping[str, str], content: Content = b"") -> bool:
        """Tell whether Twilio signed this request; `target` is the path and the query as they came, undecoded."""
        return self._accepts(self.origin + target, headers, content)

    def accepts_upgrade(self, target: str, headers: Mapping[str, str]) -> bool:
        return self._accepts(self.socket_origin + target, headers)

    def refusal(
        self, target: str, headers: Mapping[str, str], content: Content = b"", *, socket: bool = False
    ) -> Mapping[str, str]:
        """Say of a request that is not signed for our origin why that may be, and what helps.

        A signature of ours for another origin, as after a tunnel's restart, tells which origin Twilio has.
        """
        if not headers.get(SIGNATURE):
            return {"why": NOT_SIGNED}
        called = (headers.get("x-forwarded-host", "").partition(",")[0].strip(), headers.get("host", ""))
        hosts = dict.fromkeys(host for host in (*called, urlsplit(self.origin).netloc) if host)
        schemes = ("wss", "ws", "https") if socket else ("https", "http")
        for origin in (f"{scheme}://{host}" for scheme in schemes for host in hosts):
            if self._accepts(origin + target, headers, content):
                why = f"signed by Twilio for {origin}, which is not LEAD_SERVER_EXTERNAL_URL ({self.origin})"
                return {"why": why, "fix": "Make the two the same: the setting, and the number's webhook at Twilio."}
        fix = "Check TWILIO_AUTH_TOKEN, and that a proxy passes path and query unchanged."
        return {"why": NOT_SIGNED, "fix": fix}
