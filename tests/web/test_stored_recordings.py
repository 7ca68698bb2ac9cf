"""A recording in the object store is heard, listed, exported, kept for so long and forgotten as one on the disk is."""

import time
import zipfile
from io import BytesIO
from pathlib import Path

import attrs
import pytest

from keeping_settings import Retention
from protocol.audio import write_wav_header
from store.calls import MemoryRecords
from tests.store.object_stores import DriverFailed, FaultyObjects
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import CALL_SID, LEAD, context_of, exchange, record, settings
from web.calls.call_files import RECORDING, CallFiles
from web.console.rendering import TEXT
from web.serving import started
from web.worker.retention import Removal

WAV = write_wav_header(3 << 20) + bytes(range(256)) * (3 << 12)
API = f"/calls/{CALL_SID}/recording"
PAGE = f"/console/calls/{CALL_SID}"


async def stored(folder: Path, system: FaultyObjects) -> Visitor:
    """A server whose one call is in the store."""
    records, objects = MemoryRecords(), system.as_store()
    await records.save(record(recording=objects.address(CALL_SID)))
    (folder / CALL_SID).mkdir()
    wav = folder / CALL_SID / RECORDING
    wav.write_bytes(WAV)
    objects.keep(objects.upload(wav, CALL_SID), CALL_SID)
    wav.unlink()
    (folder / CALL_SID / "journal.jsonl").write_text("")
    return signed_in(exchange(records=records, objects=objects, RECORDINGS_DIR=str(folder)))


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("", 200, slice(0, None)),
        ("bytes=100-199", 206, slice(100, 200)),
        ("bytes=3000000-", 206, slice(3_000_000, None)),
        ("bytes=-44", 206, slice(-44, None)),
        ("bytes=-9999999", 206, slice(0, None)),
        ("bytes=3000000-9999999", 206, slice(3_000_000, None)),
        ("bytes=0-99999999999999999999", 206, slice(0, None)),
        ("bytes=9999999-", 416, None),
        ("bytes=9999999-99999999", 416, None),
        ("bytes=0-1,3-4", 200, slice(0, None)),
        ("bytes=5-2", 200, slice(0, None)),
        ("bytes=abc", 200, slice(0, None)),
        ("items=0-1", 200, slice(0, None)),
    ],
)
@pytest.mark.parametrize("where", ["store", "disk"])
async def test_it_is_sent_whole_or_in_parts(
    asked: str, status: int, part: slice | None, where: str, tmp_path: Path
) -> None:
    """A range that nobody could serve is as if it were not asked for, as RFC 9110 has it."""
    visitor = await stored(tmp_path, FaultyObjects())
    if where == "disk":
        (tmp_path / CALL_SID / RECORDING).write_bytes(WAV)
    if asked:
        visitor.headers["Range"] = asked
    answer = await visitor.ask("GET", f"{PAGE}/recording")

    assert answer.status_code == status
    if part is not None:
        assert answer.content == WAV[part]
        assert answer.headers["content-length"] == str(len(WAV[part]))
        assert (answer.headers["content-type"], answer.headers["accept-ranges"]) == ("audio/wav", "bytes")
    if status == 206 and part is not None:
        begin, end, _ = part.indices(len(WAV))
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(WAV)}"
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(WAV)}"
        assert "Content-Range" in answer.json()["fix"]


async def test_it_is_heard_by_programs_and_its_page_has_a_player(tmp_path: Path) -> None:
    visitor = await stored(tmp_path, FaultyObjects())
    answer = await visitor.there.operator("GET", API)
    page, other = await visitor.ask("GET", PAGE), await visitor.there.operator("GET", "/calls/CA9/recording")

    assert (answer.content == WAV, answer.headers["cache-control"]) == (True, "no-store")
    assert (f'src="{PAGE}/recording"' in page.text, other.status_code) == (True, 404)


async def test_a_store_that_is_away_costs_the_sound_and_not_the_page(tmp_path: Path) -> None:
    system = FaultyObjects()
    visitor = await stored(tmp_path, system)

    def fail(operation: str) -> None:
        raise DriverFailed("away")

    system.fail = fail
    page, sound = await visitor.ask("GET", PAGE), await visitor.there.operator("GET", API)
    erased = await visitor.there.operator("POST", "/forget", {"number": LEAD})

    assert (page.status_code, TEXT["no_recording"] in page.text) == (200, False)
    assert (sound.status_code, "cannot be reached now" in sound.text, erased.status_code) == (503, True, 503)
    assert system.kept


async def test_a_store_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = CallFiles(tmp_path, FaultyObjects(lambda _: time.sleep(0.1)).as_store())
    monkeypatch.setattr("web.calls.call_files.CallFiles.in_store.__defaults__", (0.01,))
    with pytest.raises(OSError, match="did not answer"):
        await files.stored_bytes(CALL_SID)


async def test_it_is_listed_exported_and_forgotten(tmp_path: Path) -> None:
    system = FaultyObjects()
    visitor = await stored(tmp_path, system)
    kept = (await visitor.there.operator("POST", "/kept", {"number": LEAD})).json()
    packed = (await visitor.there.operator("POST", "/export", {"number": LEAD})).content
    proof = (await visitor.there.operator("POST", "/forget", {"number": LEAD})).json()

    assert [call["files"] for call in kept["calls"]] == [["call.wav", "journal.jsonl"]]
    with zipfile.ZipFile(BytesIO(packed)) as whole:
        assert whole.testzip() is None
        assert whole.read(f"{CALL_SID}/call.wav") == WAV
        assert sorted(whole.namelist()) == [
            f"{CALL_SID}/{name}" for name in ("call.wav", "journal.jsonl", "record.json")
        ]
    assert (proof["erased"]["files"], proof["left"], system.kept) == (2, {}, {})


async def test_it_is_kept_for_as_long_as_audio_is(tmp_path: Path) -> None:
    system = FaultyObjects()
    context = context_of((await stored(tmp_path, system)).there)
    removal = Removal.of(context)
    for retention, is_kept in ((Retention(audio=1), True), (Retention(audio=-1), False)):
        await attrs.evolve(removal, retention=retention).look()

        assert bool(system.kept) == is_kept


async def test_a_driver_that_is_missing_is_named_at_the_start(tmp_path: Path) -> None:
    there = {"RECORDINGS_DIR": str(tmp_path), "DATABASE_URL": "memory:"}
    with pytest.raises(OSError, match="s3fs"):
        async with started(settings(**there, RECORDINGS_URL="s3://bucket/calls")):
            """It is not installed here."""
