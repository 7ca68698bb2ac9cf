"""The check of the public address's certificate finds real faults, and reports no others."""

import ssl

import trio

from tests.simulators.twilio.test_dialling import certificates
from tests.web.fakes import settings
from web.checkup import check_certificate
from web.twilio_checks import Finding


async def look(port: int, context: ssl.SSLContext | None = None) -> Finding:
    here = {"LEAD_SERVER_EXTERNAL_URL": f"https://127.0.0.1:{port}", "TWILIO_API_URL": "http://127.0.0.1:1"}
    chosen = settings(**here)
    return await check_certificate(chosen, context or ssl.create_default_context())


async def shut(stream: trio.abc.Stream) -> None:
    async with stream:
        await stream.receive_some(1)


async def say_plainly(stream: trio.abc.Stream) -> None:
    async with stream:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def test_a_certificate_that_an_authority_vouches_for_is_good_for_some_days() -> None:
    server, client = certificates()
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(trio.serve_ssl_over_tcp, shut, 0, server)
        found = await look(listener.transport_listener.socket.getsockname()[1], client)
        nursery.cancel_scope.cancel(reason="the test is over")

    assert found.well
    assert found.says.startswith("good for ")


async def test_one_that_nobody_vouches_for_is_to_be_signed() -> None:
    server, _ = certificates()
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(trio.serve_ssl_over_tcp, shut, 0, server)
        found = await look(listener.transport_listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel(reason="the test is over")

    assert not found.well
    assert found.fix == "Twilio refuses it too (31910): a public authority must sign it."


async def test_a_server_without_tls_is_to_serve_https() -> None:
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(trio.serve_tcp, say_plainly, 0)
        found = await look(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel(reason="the test is over")

    assert found.says.startswith("no TLS: ")
    assert found.fix == "Twilio connects by TLS only (31910): serve HTTPS at the public address."


async def test_an_address_where_nobody_answers_says_nothing_about_its_certificate() -> None:
    with trio.socket.socket() as closed:
        await closed.bind(("127.0.0.1", 0))
        found = await look(closed.getsockname()[1])

    assert found.says.startswith("cannot be looked at: ")
    assert found.fix == "See Public address."
