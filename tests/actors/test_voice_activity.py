"""When the caller's line carries voice."""

from actors.line.line_watch import BREATH, VoiceActivity
from protocol.audio import FRAME_SECONDS


def hear(activity: VoiceActivity, pattern: str, start: float = 0.0) -> list[tuple[float, float]]:
    """Play frames: `v` voiced, `.` quiet; return the intervals that ended."""
    heard = [
        activity.hear(voiced=kind == "v", now=start + number * FRAME_SECONDS) for number, kind in enumerate(pattern)
    ]
    return [interval for interval in heard if interval is not None]


def test_speech_lasts_from_its_first_voiced_frame_to_the_end_of_its_last() -> None:
    assert hear(VoiceActivity(), "..vvvvv" + "." * 30) == [(0.04, 0.14)]


def test_a_pause_shorter_than_a_breath_does_not_end_it() -> None:
    short = "." * (round(BREATH / FRAME_SECONDS) - 1)

    assert hear(VoiceActivity(), "vv" + short + "vv" + "." * 30) == [(0.0, 0.46)]


def test_a_line_that_is_quiet_has_no_speech() -> None:
    activity = VoiceActivity()

    assert hear(activity, "." * 100) == []
    assert activity.end() is None


def test_speech_that_is_cut_off_by_the_end_of_the_call_is_told_once() -> None:
    activity = VoiceActivity()
    hear(activity, "vvv")

    assert activity.end() == (0.0, 0.06)
    assert activity.end() is None
