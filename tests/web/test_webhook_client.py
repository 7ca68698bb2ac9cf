"""A message goes to the one address that was checked, signed, and nowhere else whatever is answered."""

import base64
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import httpx
import pytest
import trio
import trustme
from trio.testing import MockClock

from web.clients.webhook import POST_SECONDS, WebhookClient, is_public, signature

URL = "https://hooks.example.com/calls?a=1"
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
PUBLIC = "93.184.216.34"


@attrs.define
class Names(trio.abc.HostnameResolver):
    """A nameserver that gives another answer each time."""

    answers: list[str]
    asked: int = 0

    async def getaddrinfo(self, host: bytes | None, port: object, *_: object, **__: object) -> list[object]:  # type: ignore[override]
        self.asked += 1
        address = self.answers.pop(0)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise AssertionError("nobody asks for names")


@attrs.define
class Receiver:
    """The server of somebody else, and what it was sent."""

    answer: Callable[[], httpx.Response] = lambda: httpx.Response(204)
    requests: list[httpx.Request] = attrs.field(factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.requests.append(request)
        return self.answer()


@asynccontextmanager
async def client(
    receiver: Receiver, addresses: Sequence[str], url: str = URL, *, allows_private: bool = False
) -> AsyncIterator[tuple[WebhookClient, Names]]:
    names = Names(list(addresses))
    before = trio.socket.set_custom_hostname_resolver(names)
    try:
        async with httpx.AsyncClient(transport=httpx.MockTransport(receiver), trust_env=False) as http:
            yield WebhookClient(url, [SECRET], http, allows_private=allows_private), names
    finally:
        trio.socket.set_custom_hostname_resolver(before)


def test_a_signature_is_that_of_the_standards_own_library() -> None:
    signed = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_message_is_signed_and_sent_to_the_address_that_was_looked_up() -> None:
    receiver = Receiver()
    async with client(receiver, [PUBLIC]) as (webhooks, names):
        why = await webhooks.post("msg_1", b'{"type":"handoff"}')

    (request,) = receiver.requests
    timestamp = int(request.headers["webhook-timestamp"])
    assert (why, names.asked) == ("", 1)
    assert str(request.url) == f"https://{PUBLIC}/calls?a=1"
    assert (request.headers["host"], request.extensions["sni_hostname"]) == ("hooks.example.com", "hooks.example.com")
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["webhook-signature"] == signature(SECRET, "msg_1", timestamp, request.content)


async def test_while_a_secret_is_changed_both_sign() -> None:
    receiver = Receiver()
    async with client(receiver, [PUBLIC]) as (webhooks, _):
        await attrs.evolve(webhooks, secrets=[SECRET, b"x" * 24]).post("msg_1", b"{}")

    assert receiver.requests[0].headers["webhook-signature"].count("v1,") == 2


PRIVATE = [
    *("127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),  # noqa: S104 - refused
    *("::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_nothing_is_sent_to_a_private_address_unless_that_is_allowed(address: str) -> None:
    receiver = Receiver()
    async with client(receiver, [address]) as (webhooks, _):
        why = await webhooks.post("msg_1", b"{}")
    assert (is_public(address), len(receiver.requests)) == (False, 0)
    assert why == "its host has no address of the public internet (CALL_WEBHOOK_PRIVATE)"

    async with client(receiver, [address], allows_private=True) as (webhooks, _):
        assert await webhooks.post("msg_1", b"{}") == ""


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


async def test_a_name_that_changes_its_mind_is_asked_once() -> None:
    """DNS rebinding: the second answer would be this machine."""
    receiver = Receiver()
    async with client(receiver, [PUBLIC, "127.0.0.1"]) as (webhooks, names):
        await webhooks.post("msg_1", b"{}")

    assert (names.asked, receiver.requests[0].url.host) == (1, PUBLIC)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: httpx.Response(500), "HTTP 500"),
        (lambda: httpx.Response(410), "HTTP 410"),
        (
            lambda: httpx.Response(302, headers={"location": "http://169.254.169.254/latest/meta-data"}),
            "HTTP 302, and redirects are not followed",
        ),
    ],
)
async def test_whatever_is_not_2xx_has_not_arrived_and_no_redirect_is_followed(
    answer: Callable[[], httpx.Response], why: str
) -> None:
    receiver = Receiver(answer)
    async with client(receiver, [PUBLIC]) as (webhooks, _):
        assert await webhooks.post("msg_1", b"{}") == why

    assert len(receiver.requests) == 1


async def test_a_receiver_that_does_not_answer_or_cannot_be_reached_is_a_text(autojump_clock: MockClock) -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    def refuses() -> httpx.Response:
        raise httpx.ConnectError("refused")

    began = trio.current_time()
    async with client(silent, [PUBLIC]) as (webhooks, _):  # type: ignore[arg-type]
        assert await webhooks.post("msg_1", b"{}") == f"no answer within {POST_SECONDS:g} s"
    assert trio.current_time() - began == POST_SECONDS

    async with client(Receiver(refuses), [PUBLIC]) as (webhooks, _):
        assert await webhooks.post("msg_1", b"{}") == "ConnectError"


@pytest.mark.parametrize(("certified", "why"), [("hooks.example.com", ""), ("other.example.com", "ConnectError")])
async def test_by_tls_the_address_has_to_be_the_hosts(certified: str, why: str) -> None:
    """By a socket: the connection goes to the address, and the certificate is checked against the name."""
    authority, heard = trustme.CA(), list[bytes]()
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(certified).configure_cert(serving)
    authority.configure_trust(trusting)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            heard.append(bytes(await stream.receive_some(4096)))
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        served = partial(trio.serve_ssl_over_tcp, serve, 0, serving, host="127.0.0.1", https_compatible=True)
        (listener, *_) = await nursery.start(served)
        port = listener.transport_listener.socket.getsockname()[1]
        names = Names(["127.0.0.1"])
        before = trio.socket.set_custom_hostname_resolver(names)
        try:
            async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
                url = f"https://hooks.example.com:{port}/calls"
                found = await WebhookClient(url, [SECRET], http, allows_private=True).post("msg_1", b"{}")
        finally:
            trio.socket.set_custom_hostname_resolver(before)
        nursery.cancel_scope.cancel(reason="asked")

    assert found == why
    assert [f"host: hooks.example.com:{port}".encode() in text.lower() for text in heard] == ([] if why else [True])
