"""A throw-away authority: one for all simulators of a user, that a client trusts by one file."""

import ssl
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from simulators.asgi import serve_app
from simulators.deepgram import SpeakSimulator, serve_deepgram
from simulators.groq import serve_groq
from simulators.tls import NAMES, TlsError, certificate
from simulators.twilio.serving import serve_twilio
from tests.simulators.deepgram.client import small_scenario


def test_every_certificate_is_vouched_for_by_one_authority(tmp_path: Path) -> None:
    with certificate(tmp_path) as one, certificate(tmp_path) as other:
        assert one.authority == other.authority
        assert one.chain != other.chain
        assert one.key.read_bytes() != other.key.read_bytes()
    assert not one.chain.exists()
    assert [file.stat().st_mode & 0o077 for file in tmp_path.iterdir()] == [0]


def test_a_folder_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    with certificate(tmp_path) as one:
        pass
    one.authority.parent.chmod(0o755)

    with pytest.raises(TlsError, match="remove it"), certificate(tmp_path):
        pass


def test_a_missing_package_is_told_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)

    with pytest.raises(TlsError, match=r"switchboard-voice\[demo\]"), certificate(tmp_path):
        pass


async def test_every_http_simulator_can_be_served_by_tls(tmp_path: Path) -> None:
    with certificate(tmp_path) as issued:
        trusting = ssl.create_default_context(cafile=issued.authority)
        starts = (partial(serve_twilio, small_scenario()), serve_groq, partial(serve_app, SpeakSimulator()))
        async with httpx.AsyncClient(verify=trusting) as client, trio.open_nursery() as nursery:
            for start in starts:
                port = await nursery.start(partial(start, certificate=issued))
                assert (await client.get(f"https://localhost:{port}/")).status_code in {401, 404}
            nursery.cancel_scope.cancel(reason="test over")


async def test_the_voice_agent_service_has_the_names_of_the_real_ones(tmp_path: Path) -> None:
    with certificate(tmp_path) as issued:
        trusting = ssl.create_default_context(cafile=issued.authority)
        serve = partial(serve_deepgram, small_scenario(), ssl_context=issued.server_context())
        async with trio.open_nursery() as nursery:
            at = await nursery.start(serve)
            for name in NAMES:
                tcp = await trio.open_tcp_stream("127.0.0.1", at)
                async with trio.SSLStream(tcp, trusting, server_hostname=name, https_compatible=True) as stream:
                    await stream.do_handshake()
            nursery.cancel_scope.cancel(reason="test over")
