"""Recordings in an object store: what has a recording's name there is what was sent, whatever the store does."""

import os
import sys
import time
from io import BytesIO
from pathlib import Path

import pytest

from store.objects import NAME, UNCHECKED_SECONDS, ObjectStore, ObjectsUnavailable, open_objects
from tests.store.object_stores import DriverFailed, FaultyObjects

SID, OTHER = "CA" + "1" * 32, "CA" + "2" * 32
AUDIO = os.urandom((2 << 20) + 17)
DAY = 86_400.0


@pytest.fixture(params=["memory", "file"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_objects(f"memory://{tmp_path}" if request.param == "memory" else f"file://{tmp_path}/far away")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(AUDIO)
    return path


def put(objects: ObjectStore, recording: Path, call_sid: str = SID) -> None:
    objects.keep(objects.upload(recording, call_sid), call_sid)


def test_a_recording_is_there_whole_and_in_parts_until_it_is_erased(objects: ObjectStore, recording: Path) -> None:
    assert (objects.size(SID), objects.erase(SID)) == (None, 0)
    put(objects, recording)
    whole = BytesIO()
    objects.copy(SID, whole)

    assert objects.address(SID) == f"{objects.url}/{SID}/call.wav"
    assert (objects.size(SID), whole.getvalue() == AUDIO) == (len(AUDIO), True)
    assert objects.read(SID, 5, 1005) == AUDIO[5:1005]
    assert (objects.erase(SID), objects.size(SID), objects.erase(SID)) == (1, None, 0)


def test_a_recording_that_is_put_again_takes_the_place_of_the_first(objects: ObjectStore, recording: Path) -> None:
    put(objects, recording)
    recording.write_bytes(b"longer" * 1000)
    put(objects, recording)

    assert objects.read(SID, 0, 12) == b"longerlonger"
    assert (objects.size(SID), objects.erase(SID)) == (6000, 1)


def test_what_is_old_goes_and_what_is_not_ours_stays(objects: ObjectStore, recording: Path) -> None:
    theirs = f"{objects.root}/theirs.wav"
    put(objects, recording)
    objects.upload(recording, OTHER)
    with objects.system.open(theirs, "wb", block_size=1 << 20) as file:
        file.write(b"x")
    now = time.time()
    gone = [objects.erase_older(now - DAY, now), objects.erase_older(now - DAY, now + UNCHECKED_SECONDS + 60)]
    kept = objects.size(SID)
    gone.append(objects.erase_older(now + DAY, now))

    assert (gone, kept, objects.size(SID)) == ([0, 1, 1], len(AUDIO), None)
    assert objects.system.info(theirs)["size"] == 1


def test_an_empty_store_has_nothing_that_is_old(objects: ObjectStore) -> None:
    assert objects.erase_older(time.time(), time.time()) == 0


def test_a_store_that_lies_about_the_size_or_spoils_the_content_has_no_recording(recording: Path) -> None:
    for fault, why in (("adds_to_size", "the store says"), ("spoils", "read back")):
        system = FaultyObjects()
        setattr(system, fault, 1)
        with pytest.raises(ObjectsUnavailable, match=why):
            system.as_store().upload(recording, SID)

        assert system.kept == {}


def test_an_upload_that_broke_off_is_no_recording_and_goes_with_the_next(recording: Path) -> None:
    broken = {"info"}

    def fail(operation: str) -> None:
        if operation in broken:
            raise DriverFailed(operation)

    system = FaultyObjects(fail)
    with pytest.raises(DriverFailed):
        system.as_store().upload(recording, SID)
    left = list(system.kept)
    broken.clear()
    put(system.as_store(), recording)

    assert [name.endswith(".unchecked") for name in left] == [True]
    assert list(system.kept) == [f"{SID}/call.wav"]


def test_what_is_not_installed_or_misspelt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, says in (("gs://bucket/x", "gcsfs"), ("s3://bucket/x", "s3fs"), ("nope://bucket/x", "nope")):
        with pytest.raises(OSError, match=says):
            open_objects(url)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(OSError, match=r"pip install 'switchboard-voice\[objects\]'"):
        open_objects("memory://x")
