"""Who knocks too often is told to stay away; who is let in never is."""

from typing import cast

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.web.fakes import AUTH_TOKEN, Peer, exchange, voice_form
from web.calls.rate_limits import ALLOWANCE, KNOWN_ADDRESSES, MOST_PENDING_STREAMS, RateLimits
from web.routes.media import MediaStreams
from web.sockets.asgi_events import HEADERS


async def test_refusals_turn_into_429_and_back_again_with_time(autojump_clock: MockClock) -> None:
    there = exchange()
    refused = [(await there.twilio("/twilio/voice", voice_form(), token="wrong")).status_code for _ in range(40)]
    turned_away = await there.twilio("/twilio/voice", voice_form(), token="wrong")

    autojump_clock.jump(ALLOWANCE)
    later = await there.twilio("/twilio/voice", voice_form(), token="wrong")

    assert refused == [403] * int(ALLOWANCE) + [429] * (40 - int(ALLOWANCE))
    assert turned_away.headers["retry-after"] == "2"
    assert turned_away.json()["error"] == "too many refusals"
    assert later.status_code == 403


async def test_twilio_and_operators_are_never_turned_away_for_a_stranger_at_their_address(
    autojump_clock: MockClock,
) -> None:
    there = exchange()
    for _ in range(50):
        await there.operator("GET", "/calls", token="wrong")

    assert (await there.operator("GET", "/calls", token="wrong")).status_code == 429
    assert (await there.operator("GET", "/calls")).status_code == 200
    assert (await there.twilio("/twilio/voice", voice_form(), token=AUTH_TOKEN)).status_code == 200


def test_addresses_are_forgotten_the_longest_unseen_first() -> None:
    strangers = RateLimits(now=lambda: 0.0)
    for _ in range(int(ALLOWANCE)):
        strangers.refuse(("first", 1))

    assert strangers.refuse(("first", 1)) > 0
    for number in range(KNOWN_ADDRESSES):
        strangers.refuse((str(number), 1))
    assert strangers.refuse(("first", 1)) == 0


def test_one_peer_has_a_whole_network_of_ipv6_addresses() -> None:
    strangers = RateLimits(now=lambda: 0.0)
    for number in range(int(ALLOWANCE)):
        strangers.refuse((f"2001:db8::{number:x}", 1))

    assert strangers.refuse(("2001:db8::ffff:1", 1)) > 0
    assert strangers.refuse(("2001:db8:0:1::1", 1)) == 0


@pytest.mark.parametrize("target", ["/twilio", "/phone", "/twilio/voice"])
async def test_no_stranger_fills_the_log(target: str, autojump_clock: MockClock) -> None:
    there = exchange()
    with capture_logs() as lines:
        for _ in range(3 * int(ALLOWANCE)):
            if target == "/twilio/voice":
                await there.twilio(target, voice_form(), token="wrong")
            else:
                await Peer(target=target, signature="wrong").leaves().visit(there.app)

    assert len([line for line in lines if line["event"] in {"webhook_refused", "upgrade_refused"}]) == int(ALLOWANCE)


@pytest.mark.parametrize("target", ["/healthz", "/metrics", "/calls", "/nowhere"])
async def test_every_answer_tells_browsers_to_keep_off(target: str, autojump_clock: MockClock) -> None:
    answer = await exchange().operator("GET", target)

    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


async def test_no_more_streams_than_there_is_room_for_wait_to_start(autojump_clock: MockClock) -> None:
    there = exchange()
    pending_streams = cast("MediaStreams", there.app.asgi_app).context.pending_streams
    pending_streams.total_tokens = 1
    async with pending_streams:
        peer = await Peer().visit(there.app)

    assert peer.said == ["accept", "close 1008"]
    assert MOST_PENDING_STREAMS > 1
