"""The opening handshake of a client: what it asks for, and which answers it takes; wsproto's server is the oracle."""

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.utilities import generate_accept_token

from protocol.errors import RemoteProtocolError
from protocol.upgrade import ClientUpgrade, UpgradeRefused

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
"""Of the RFC, section 1.3."""
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = (b"Upgrade: WebSocket", b"Connection: keep-alive, Upgrade", b"Sec-WebSocket-Accept: " + ACCEPT)


def upgrade() -> ClientUpgrade:
    return ClientUpgrade("host:8443", "/v1/agent?x=1", [(b"Authorization", b"Token key")], key=KEY)


def answer(*fields: bytes, status: bytes = b"HTTP/1.1 101 Switching Protocols") -> bytes:
    return b"\r\n".join([status, *fields, b"", b""])


def test_a_server_understands_the_request_and_its_answer_is_taken() -> None:
    client, server = upgrade(), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.request())
    (asked,) = server.events()

    assert isinstance(asked, Request)
    assert (asked.host, asked.target, asked.extensions, asked.subprotocols) == ("host:8443", "/v1/agent?x=1", [], [])
    assert (b"authorization", b"Token key") in asked.extra_headers
    assert client.receive(server.send(AcceptConnection())) == b""


def test_no_two_requests_have_one_key() -> None:
    assert ClientUpgrade("host", "/").request() != ClientUpgrade("host", "/").request()


@pytest.mark.parametrize("cut", range(1, len(answer(*GOOD)) + 3))
def test_what_comes_behind_the_answer_is_kept_however_it_is_cut(cut: int) -> None:
    come, client = answer(*GOOD) + b"frame", upgrade()
    first = client.receive(come[:cut])
    rest = first + come[cut:] if first is not None else client.receive(come[cut:])

    assert (rest, generate_accept_token(KEY)) == (b"frame", ACCEPT)


@pytest.mark.parametrize("status", [200, 302, 401, 429, 503])
def test_a_server_that_says_no_is_told_by_its_status(status: int) -> None:
    client, server = upgrade(), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.request())
    list(server.events())

    with pytest.raises(UpgradeRefused, match=f"HTTP {status}") as refused:
        client.receive(server.send(RejectConnection(status_code=status)))
    assert refused.value.status == status


def test_a_proxy_may_refuse_by_an_older_http() -> None:
    with pytest.raises(UpgradeRefused, match="HTTP 502"):
        upgrade().receive(answer(status=b"HTTP/1.0 502"))


@pytest.mark.parametrize(
    ("come", "why"),
    [
        (b"", "hung up"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP/1"),
        (answer(*GOOD, status=b"HTTP/1.1 101x"), "not HTTP/1"),
        (answer(*GOOD[1:]), "what to upgrade to"),
        (answer(b"Upgrade: h2c", *GOOD[1:]), "what to upgrade to"),
        (answer(GOOD[0], GOOD[2]), "what to upgrade to"),
        (answer(GOOD[0], b"Connection: close", GOOD[2]), "what to upgrade to"),
        (answer(GOOD[0], b"Connection: no-upgrade", GOOD[2]), "what to upgrade to"),
        (answer(*GOOD[:2]), "not to our key"),
        (answer(*GOOD[:2], GOOD[2].swapcase()), "no header|not to our key"),
        (answer(*GOOD, GOOD[2]), "not to our key"),
        (answer(*GOOD, b"Sec-WebSocket-Extensions: permessage-deflate"), "not offered"),
        (answer(*GOOD, b"Sec-WebSocket-Protocol: token"), "not offered"),
        (answer(*GOOD, b"no header"), "no header"),
        (answer(*GOOD, b" folded: header"), "no header"),
        (answer(*GOOD, b"Long: " + b"x" * 2**14), "too long"),
        (b"x" * (2**14 + 1), "too long"),
    ],
)
def test_an_answer_that_is_none_is_the_servers_fault(come: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        upgrade().receive(come)
