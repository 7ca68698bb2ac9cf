import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import orjson
import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import (
    EndOfTurn,
    ErrorReported,
    InjectUserMessage,
    KeepAlive,
    SettingsApplied,
    Welcome,
    encode_client,
)
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.log import Rejected
from simulators.deepgram.messages import ListenUpdated
from tests.simulators.deepgram.client import Client, calling, connected, settings_for

NO_GREETING = settings_for(greeting=None)
VECTORS = Path(__file__).parents[2] / "vectors" / "deepgram.jsonl"
REFUSED = re.compile("INVALID|UNPARSABLE if")
STRICT = DeepgramKnobs(strict_start=True)


def client_vectors(*, valid: bool) -> list[object]:
    """Return the recorded client messages that the service takes, or refuses."""
    rows = [orjson.loads(row) for row in VECTORS.read_bytes().splitlines()]
    chosen = [row for row in rows if row["direction"] == "client" and bool(REFUSED.search(row["source"])) != valid]
    return [
        pytest.param(row["message"], row["source"], id=f"{row['type']}-{index}") for index, row in enumerate(chosen)
    ]


async def put(client: Client, message: dict[str, object]) -> None:
    """Send a message where it belongs: Settings first, anything else after them."""
    await client.wait_for(Welcome)
    if message.get("type") != "Settings":
        await client.send(NO_GREETING)
        await client.wait_for(SettingsApplied)
    await client.socket.send_message(orjson.dumps(message).decode())


@pytest.mark.parametrize(("message", "source"), client_vectors(valid=True))
async def test_every_message_the_service_takes_is_taken(
    message: dict[str, object], source: str, autojump_clock: MockClock
) -> None:
    async with connected() as client:
        await put(client, message)
        await trio.sleep(2)

        assert client.all(ErrorReported) == [], source
        assert len(client.all(SettingsApplied)) == 1, source


@pytest.mark.parametrize(("message", "source"), client_vectors(valid=False))
async def test_every_message_the_service_refuses_ends_the_session(
    message: dict[str, object], source: str, autojump_clock: MockClock
) -> None:
    expected = "INVALID_SETTINGS" if "INVALID_SETTINGS" in source else "UNPARSABLE_CLIENT_MESSAGE"
    async with connected() as client:
        await put(client, message)
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == [expected], source
        assert [entry.code for entry in client.log.of(Rejected)] == [expected], source


@pytest.mark.parametrize("frame", ["", "[object Blob]", "[]", "null", '{"type": "Settings"', '{"type": "Settings"}'])
async def test_what_cannot_be_read_gets_the_services_own_words(frame: str, autojump_clock: MockClock) -> None:
    async with connected() as client:
        await client.socket.send_message(frame)
        await client.closed.wait()

        assert client.all(ErrorReported) == [
            ErrorReported(
                "UNPARSABLE_CLIENT_MESSAGE",
                "Text message received from client did not match any of the formats we expect.",
            )
        ]


@pytest.mark.parametrize("frame", [encode_client(KeepAlive()), bytes(160)])
async def test_nothing_may_come_before_the_settings(frame: str | bytes, autojump_clock: MockClock) -> None:
    async with connected() as client:
        await client.wait_for(Welcome)
        await client.socket.send_message(frame)
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"]


@pytest.mark.parametrize("applied", [True, False])
async def test_settings_come_once(applied: bool, autojump_clock: MockClock) -> None:
    async with connected() as client:
        await client.wait_for(Welcome)
        await client.send(NO_GREETING)
        if applied:
            await client.wait_for(SettingsApplied)
        await client.send(NO_GREETING)
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["SETTINGS_ALREADY_APPLIED"]


async def test_a_strict_service_takes_no_settings_before_its_welcome(autojump_clock: MockClock) -> None:
    async with connected(knobs=STRICT) as client:
        await client.send(NO_GREETING)
        await client.closed.wait()

        assert len(client.all(ErrorReported)) == 1
        assert client.all(SettingsApplied) == []


@pytest.mark.parametrize("frame", [encode_client(settings_for()), bytes(160)])
async def test_a_strict_service_takes_nothing_before_the_settings_are_applied(
    frame: str | bytes, autojump_clock: MockClock
) -> None:
    async with connected(knobs=STRICT) as client:
        await client.wait_for(Welcome)
        await client.send(NO_GREETING)
        await client.socket.send_message(frame)
        await client.closed.wait()

        assert len(client.all(ErrorReported)) == 1


async def test_a_strict_service_talks_to_a_patient_client(autojump_clock: MockClock) -> None:
    async with calling(knobs=STRICT) as client:
        await client.wait_audio()

        assert client.all(ErrorReported) == []


VERSIONS = {
    "none": {"model": "flux-general-en"},
    "v1": {"version": "v1", "model": "flux-general-en"},
    "of another family": {"version": "v2", "model": "nova-3"},
}


def with_version(fields: Mapping[str, str | None]) -> dict[str, object]:
    """Return good settings with a recogniser of these fields, and no version but theirs."""
    settings = orjson.loads(encode_client(NO_GREETING))
    settings["agent"]["listen"]["provider"] = {"type": "deepgram", **fields}
    return cast("dict[str, object]", settings)


@pytest.mark.parametrize("fields", VERSIONS.values(), ids=VERSIONS)
async def test_a_version_that_is_not_its_models_ends_the_session(
    fields: dict[str, str], autojump_clock: MockClock
) -> None:
    async with connected() as client:
        await put(client, with_version(fields))
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["INVALID_SETTINGS"]


@pytest.mark.parametrize("version", ["none", "v1"])
async def test_an_old_client_may_be_spared_the_version(version: str, autojump_clock: MockClock) -> None:
    as_the_sdk_of_2025: dict[str, str | None] = {**VERSIONS[version], "smart_format": None}
    async with connected(knobs=DeepgramKnobs(any_flux_version=True)) as client:
        await put(client, with_version(as_the_sdk_of_2025))
        await client.wait_for(SettingsApplied)
        await put_listen(client, VERSIONS[version])
        await client.wait_for(ListenUpdated)
        await client.send(InjectUserMessage("Sure."))
        await client.wait_for(EndOfTurn)

        assert client.all(ErrorReported) == []


async def put_listen(client: Client, fields: dict[str, str]) -> None:
    message = {"type": "UpdateListen", "listen": {"provider": {"type": "deepgram", **fields}}}
    await client.socket.send_message(orjson.dumps(message).decode())


async def test_nova_is_no_flux_for_an_old_client_either(autojump_clock: MockClock) -> None:
    async with connected(knobs=DeepgramKnobs(any_flux_version=True)) as client:
        await put(client, with_version(VERSIONS["of another family"]))
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["INVALID_SETTINGS"]
