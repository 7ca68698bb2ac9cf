import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import AgentAudioDone, KeepAlive, Welcome, encode_client
from simulators.deepgram import DeepgramExchange, DeepgramKnobs, converse
from simulators.deepgram.log import AudioReceived, AudioSent, Closed, Connected, ExchangeLog, Received, Sent
from simulators.memory import memory_websocket_pair
from tests.simulators.deepgram.client import GREETING, calling, reply_seconds, settings_for, small_scenario


async def test_connections_are_counted_and_independent(autojump_clock: MockClock) -> None:
    async with (
        DeepgramExchange(small_scenario()) as exchange,
        exchange.connect() as one,
        exchange.connect() as other,
    ):
        first, second = await one.get_message(), await other.get_message()

        assert first != second
        assert exchange.connections == 2
        assert [entry.connection for entry in exchange.log.of(Connected)] == [1, 2]


async def test_the_same_seed_gives_the_same_ids(autojump_clock: MockClock) -> None:
    ids = []
    for seed in (1, 1, 2):
        async with DeepgramExchange(small_scenario(), DeepgramKnobs(seed=seed)) as exchange, exchange.connect() as ws:
            ids.append(await ws.get_message())

    assert ids[0] == ids[1] != ids[2]


async def test_the_end_of_a_connection_is_logged_with_its_code(autojump_clock: MockClock) -> None:
    async with DeepgramExchange(small_scenario()) as exchange:
        async with exchange.connect() as socket:
            await socket.aclose(1001)
        await trio.testing.wait_all_tasks_blocked()

        assert [(entry.code, entry.how) for entry in exchange.log.of(Closed)] == [(1001, "client")]


def test_of_a_log_without_end_the_newest_is_kept() -> None:
    log = ExchangeLog()
    for number in range(100_002):
        log.put(Connected(0.0, number))

    assert (len(log.entries), log.entries[0].connection, log.entries[-1].connection) == (100_000, 2, 100_001)


async def test_audio_is_counted_to_the_last_byte(autojump_clock: MockClock) -> None:
    async with DeepgramExchange(small_scenario()) as exchange, exchange.connect() as socket:
        await socket.send_message(encode_client(settings_for(greeting=None)))
        await socket.send_message(bytes([0xFF]) * 1600)
        await trio.sleep(1)

    assert exchange.log.audio_received(1) == 1600


async def test_leaving_the_exchange_ends_its_sessions(autojump_clock: MockClock) -> None:
    async with DeepgramExchange(small_scenario()) as exchange:
        async with exchange.connect():
            pass
        before = trio.current_time()

    assert trio.current_time() == before


async def test_an_exception_in_the_body_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(ZeroDivisionError):
        async with DeepgramExchange(small_scenario()) as exchange, exchange.connect():
            raise ZeroDivisionError


async def test_cancellation_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    with trio.move_on_after(0.1) as scope:
        async with DeepgramExchange(small_scenario()) as exchange, exchange.connect():
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(0.1)


async def test_connecting_to_a_closed_exchange_says_what_is_wrong(autojump_clock: MockClock) -> None:
    exchange = DeepgramExchange(small_scenario())

    with pytest.raises(RuntimeError, match="async with DeepgramExchange"):
        async with exchange.connect():
            pass


async def test_the_upgrade_takes_its_time(autojump_clock: MockClock) -> None:
    async with DeepgramExchange(small_scenario(), DeepgramKnobs(upgrade=0.2)) as exchange, exchange.connect():
        assert trio.current_time() == pytest.approx(0.2)


async def test_a_drop_without_a_way_to_drop_is_a_close(autojump_clock: MockClock) -> None:
    client, server = memory_websocket_pair()
    scenario = small_scenario(faults=["deepgram: drop"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: converse(server, scenario))
        await client.send_message(encode_client(settings_for()))

    assert client.closed is not None
    assert client.closed.code == 1011


async def test_the_log_has_every_message_and_adds_up_the_audio(autojump_clock: MockClock) -> None:
    async with calling() as client:
        await client.wait_for(AgentAudioDone)
        await client.send(KeepAlive())
        await trio.testing.wait_all_tasks_blocked()

        log = client.log
        assert [type(entry.message).__name__ for entry in log.of(Sent)] == client.kinds()
        assert [type(entry.message).__name__ for entry in log.of(Received)] == ["Settings", "KeepAlive"]
        assert log.audio_sent() == round(reply_seconds(GREETING) * 8000)
        assert log.of(AudioSent)[0].start == 0
        assert all(one.end == other.start for one, other in zip(log.of(AudioSent), log.of(AudioSent)[1:], strict=False))
        assert log.audio_received(1) == log.of(AudioReceived)[-1].end
        assert log.audio_received(2) == 0
        assert len(log.sent(Welcome)) == len(log.received(KeepAlive)) == 1


async def test_the_log_is_in_order_of_time(autojump_clock: MockClock) -> None:
    async with DeepgramExchange(small_scenario()) as exchange, exchange.connect() as socket:
        await socket.send_message(encode_client(settings_for()))
        await trio.sleep(5)

    assert len(exchange.log.entries) > 5
    assert [entry.at for entry in exchange.log.entries] == sorted(entry.at for entry in exchange.log.entries)
