"""Behind nginx as Debian ships it, with `proxy_pass` and nothing else: strangers get no further than the door.

nginx names itself in no header then, comes from this machine, and asks for the host that stands in `proxy_pass`.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from actors.errors import AgentUnavailable
from setting_reader import SettingsError
from tests.e2e.test_processes import free_port
from tests.web.fakes import API_TOKEN, AUTH_TOKEN, CALL_SID, LEAD, ORIGIN, context_of, exchange, settings, voice_form
from tests.web.test_credentials import BEARER, SIGNED
from tests.web.test_serving import listening, stream
from web.calls.rate_limits import ALLOWANCE

pytestmark = pytest.mark.real_time
CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
PLAIN = "location / { proxy_pass http://127.0.0.1:8000; }"
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


@asynccontextmanager
async def nginx_before(upstream: str, folder: Path, location: str = PLAIN) -> AsyncIterator[str]:
    """Run nginx before a server; give the address under which it listens."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        assert "REQUIRE_NGINX" not in os.environ, "there is no nginx"
        pytest.skip("needs nginx (apt-get install nginx)")
    config, port = folder / "nginx.conf", free_port()
    passed = location.replace("127.0.0.1:8000", upstream)
    config.write_text(CONFIG.format(folder=folder, port=port, location=passed))
    async with trio.open_nursery() as nursery:
        command = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
        process = await nursery.start(partial(trio.run_process, command, check=False))
        try:
            await _wait_listening(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def _wait_listening(port: int) -> None:
    with trio.fail_after(10):
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                await trio.sleep(0.05)
            else:
                return


def test_a_public_server_does_not_start_without_a_token() -> None:
    with pytest.raises(SettingsError, match="API_TOKEN is missing"):
        settings(API_TOKEN="")


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_strangers_get_no_further_than_the_door(token: str, tmp_path: Path) -> None:
    column = 1 if token else 0
    headers = {"Authorization": f"Bearer {token}", "X-Twilio-Signature": token} if token else {}
    answers: dict[tuple[str, str], int] = {}
    routes, share = [*SIGNED, *BEARER], int(ALLOWANCE)  # after so many refusals an address gets 429
    for start in range(0, len(routes), share):
        there = exchange()
        async with listening(there) as at, nginx_before(at, tmp_path) as public, httpx.AsyncClient() as client:
            for method, rule in routes[start : start + share]:
                url, body = public + rule.replace("<name>", CALL_SID), orjson.dumps({"to": LEAD})
                answer = await client.request(method, url, content=body, headers=headers)
                answers[method, rule] = answer.status_code
        assert (there.line.placed, there.line.hung_up, list(context_of(there).live_calls.newest())) == ([], [], [])

    assert answers == {route: row[column] for route, row in {**SIGNED, **BEARER}.items()}


async def test_the_operator_and_twilio_are_served(tmp_path: Path) -> None:
    there = exchange()
    signature = RequestValidator(AUTH_TOKEN).compute_signature(f"{ORIGIN}/twilio/voice", voice_form())
    token = {"Authorization": f"Bearer {API_TOKEN}"}
    async with listening(there) as at, nginx_before(at, tmp_path) as public, httpx.AsyncClient() as client:
        answers = [
            await client.post(f"{public}/calls", json={"to": LEAD}, headers=token),
            await client.get(f"{public}/calls", headers=token),
            await client.get(f"{public}/metrics", headers=token),
            await client.post(f"{public}/twilio/voice", data=voice_form(), headers={"X-Twilio-Signature": signature}),
        ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]


async def test_an_operator_signs_in(tmp_path: Path) -> None:
    there = exchange()
    async with listening(there) as at, nginx_before(at, tmp_path) as public, httpx.AsyncClient() as client:
        headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
        answer = await client.post(f"{public}/console/sign-in", data={"token": API_TOKEN}, headers=headers)

    assert answer.status_code == 303


async def test_streams_pass_as_the_docs_have_it_and_are_told_of_without(tmp_path: Path) -> None:
    docs = DOCS.read_text().partition("```nginx\n")[2].partition("```")[0]
    came, told = [], list[str]()
    for location in (docs, PLAIN):
        there = exchange()
        with capture_logs() as lines:
            async with listening(there) as at, nginx_before(at, tmp_path, location) as public:
                try:
                    async with stream(public.removeprefix("http://")):
                        came.append("accepted")
                except AgentUnavailable as refused:
                    came.append(refused.reason[:8])  # and what the server says of it
        told += [line["fix"] for line in lines if line["event"] == "request_misrouted"]

    assert came == ["accepted", "HTTP 404"]
    assert ["Upgrade" in fix for fix in told] == [True]
