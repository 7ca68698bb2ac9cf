"""The check of the public address tells what is wrong with its TLS: Twilio connects by no other way."""

import re
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha1

import pytest
import trio
import trustme

from tests.simulators.twilio.test_dialling import certificates
from tests.web.fakes import settings
from web.twilio_checks import check_way_in


async def say_plainly(stream: trio.abc.Stream) -> None:
    async with stream:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("has_tls", "fix"),
    [
        (True, "Twilio refuses it too (31910): serve one of a public authority, for this name, that has not expired."),
        (False, "Twilio connects by TLS only (31910): serve HTTPS at the public address."),
    ],
)
async def test_what_is_wrong_with_the_tls_of_the_public_address_is_told(has_tls: bool, fix: str) -> None:
    server, _ = certificates()
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(trio.serve_tcp, say_plainly, 0)
        if has_tls:
            (secured, *_) = await nursery.start(trio.serve_ssl_over_tcp, say_plainly, 0, server)
            listener = secured.transport_listener
        port = listener.socket.getsockname()[1]
        here = {"LEAD_SERVER_EXTERNAL_URL": f"https://127.0.0.1:{port}", "TWILIO_API_URL": "http://127.0.0.1:1"}
        finding = await check_way_in(settings(**here), ssl.create_default_context())
        nursery.cancel_scope.cancel(reason="the test is over")

    assert not finding.well
    assert finding.fix.startswith(fix)


async def answer_as_we_do(stream: trio.abc.Stream) -> None:
    """Take signed upgrades and webhooks, and refuse others."""
    asked = b""
    async with stream:
        while b"\r\n\r\n" not in asked or (b"POST" in asked and asked.endswith(b"\r\n\r\n")):
            asked += await stream.receive_some()
        if b"signature" not in asked.lower():
            await stream.send_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif (key := re.search(rb"Sec-WebSocket-Key: (\S+)", asked)) is None:
            await stream.send_all(b"HTTP/1.1 204 Yes\r\nConnection: close\r\n\r\n")
        else:
            accept = b64encode(sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324 - RFC 6455
            head = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            await stream.send_all(head + accept + b"\r\n\r\n")
            await stream.receive_some()


@pytest.mark.parametrize(
    ("days", "told"), [(6.6, "expires in 6 days"), (0.4, "expires in 0 days"), (7.5, ""), (90, "")]
)
async def test_a_certificate_that_expires_within_a_week_is_told_and_is_to_be_renewed(days: float, told: str) -> None:
    authority, server, client = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.configure_trust(client)
    authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days)).configure_cert(server)
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(trio.serve_ssl_over_tcp, answer_as_we_do, 0, server)
        port = listener.transport_listener.socket.getsockname()[1]
        here = {"LEAD_SERVER_EXTERNAL_URL": f"https://127.0.0.1:{port}", "TWILIO_API_URL": "http://127.0.0.1:1"}
        finding = await check_way_in(settings(**here), client)
        nursery.cancel_scope.cancel(reason="the test is over")

    assert finding.well is not bool(told)
    assert told in finding.says
    assert finding.fix.startswith("Renew it") is bool(told)
