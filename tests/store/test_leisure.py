"""Work in a thread that is done a few things at a time."""

import time

import pytest

from store.leisure import AT_ONCE, PAUSE_SECONDS, leisurely


@pytest.mark.parametrize(("things", "pauses"), [(0, 0), (AT_ONCE, 0), (3 * AT_ONCE + 1, 3)])
def test_there_is_a_pause_after_every_few(things: int, pauses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)

    assert list(leisurely(range(things))) == list(range(things))
    assert slept == [PAUSE_SECONDS] * pauses
