"""What the bench of long calls keeps of a server, and what it makes of it."""

from types import SimpleNamespace

import pytest

from bench.watched import Took, Watched, growth_kb, longest


def clock_of(*moments: float) -> SimpleNamespace:
    return SimpleNamespace(monotonic=iter(moments).__next__, thread_time=lambda: 0.0)


def test_growth_is_told_by_the_minute() -> None:
    assert growth_kb([(0.0, 80.0), (30.0, 80.5), (60.0, 81.0)]) == pytest.approx(1024)
    assert growth_kb([(0.0, 80.0), (30.0, 81.0), (60.0, 80.0)]) == pytest.approx(0)


@pytest.mark.parametrize(("seconds", "kept"), [(0.0005, 0), (0.002, 1)])
def test_only_long_collections_are_kept(seconds: float, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server keeps few of them: they are memory, and each collection looks at them."""
    watched = Watched()
    monkeypatch.setattr("bench.watched.time", clock_of(1.0, 1.0 + seconds))
    watched.on_collection("start", {})
    watched.on_collection("stop", {})

    assert len(watched.collections) == kept


@pytest.mark.parametrize(("seconds", "kept"), [(0.004, 0), (0.006, 1)])
def test_only_long_turns_are_kept(seconds: float, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr("bench.watched.time", clock_of(1.0, 1.0 + seconds))
    watched.before_io_wait(0.0)  # of the first turn nobody knows when it began
    watched.after_io_wait(0.0)
    watched.before_io_wait(0.0)

    assert len(watched.turns) == kept


def test_a_promise_is_kept_by_the_processors_time(capsys: pytest.CaptureFixture[str]) -> None:
    """On a machine that others use, the clock on the wall tells of them."""
    took = [Took(1.0, 30.0, 4.0), Took(2.0, 6.0, 6.0)]

    assert longest("turn", took, 20.0)
    assert "30.0 ms, 6.0 of the processor" in capsys.readouterr().out
    assert not longest("collection", took, 5.0)
    assert longest("collection", [], 5.0)
