"""The check of the public address tells what is wrong with its TLS: Twilio connects by no other way."""

import ssl

import pytest
import trio

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
