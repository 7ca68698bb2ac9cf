"""Twilio's buffer of agents' audio: what is heard, when marks are reached, what `clear` throws away."""

import pytest

from protocol.audio import SILENCE
from simulators.twilio.playout import BUFFER_LIMIT, HeardRecording, Playout

SPEECH = b"\x10"
QUIET = bytes([SILENCE])


def playing(started_at: float = 100.0) -> Playout:
    return Playout(HeardRecording(started_at))


def test_audio_sent_faster_than_real_time_is_heard_at_real_time() -> None:
    playout = playing()

    playout.append(100.0, SPEECH * 8000)
    playout.append(100.1, SPEECH * 4000)

    assert playout.intervals() == ((0.0, 1.5),)
    assert len(playout.recording.agents) - playout.recording.position(100.5) == 8000


def test_a_gap_in_the_agents_audio_is_silence_of_the_same_length() -> None:
    playout = playing()

    playout.append(100.0, SPEECH * 800)
    playout.append(101.0, SPEECH * 800)

    assert playout.intervals() == ((0.0, 0.1), (1.0, 1.1))
    assert bytes(playout.recording.agents) == SPEECH * 800 + QUIET * 7200 + SPEECH * 800


def test_a_mark_is_reached_when_all_audio_before_it_has_been_played() -> None:
    playout = playing()
    playout.append(100.0, SPEECH * 800)
    playout.add_mark(100.0, "a")
    playout.append(100.0, SPEECH * 800)
    playout.add_mark(100.0, "b")

    assert playout.next_due() == pytest.approx(100.1)
    assert playout.take_reached(100.09) == ()
    assert playout.take_reached(100.1) == ("a",)
    assert playout.take_reached(100.3) == ("b",)
    assert playout.next_due() == float("inf")


def test_a_mark_on_an_empty_buffer_is_reached_at_once() -> None:
    playout = playing()

    first = playout.add_mark(103.0, "now")

    assert first
    assert playout.take_reached(103.0) == ("now",)


def test_clear_forgets_unheard_audio_and_hands_back_every_pending_mark() -> None:
    playout = playing()
    playout.append(100.0, SPEECH * 8000)
    playout.add_mark(100.0, "end")

    dropped, flushed = playout.clear(100.25)

    assert dropped == 6000
    assert flushed == ("end",)
    assert playout.intervals() == ((0.0, 0.25),)
    assert playout.take_reached(200.0) == ()


def test_clear_drops_intervals_that_had_not_begun() -> None:
    playout = playing()
    playout.append(100.0, SPEECH * 800)
    playout.append(100.5, SPEECH * 800)

    dropped, _ = playout.clear(100.05)

    assert dropped == 400 + 3200 + 800
    assert playout.intervals() == ((0.0, 0.05),)


def test_clear_of_an_empty_buffer_drops_nothing() -> None:
    playout = playing()

    assert playout.clear(105.0) == (0, ())


def test_more_than_ten_minutes_of_audio_does_not_fit() -> None:
    playout = playing()
    playout.append(100.0, SPEECH * BUFFER_LIMIT)

    refused = playout.append(100.0, SPEECH * 160)

    assert refused == 160
    assert playout.append(100.02, SPEECH * 160) == 0


def test_levelling_cuts_the_unheard_and_fills_the_silent_channel() -> None:
    recording = HeardRecording(10.0)
    recording.agents += SPEECH * 1600
    recording.caller += SPEECH * 80

    recording.level(10.1)

    assert bytes(recording.agents) == SPEECH * 800
    assert bytes(recording.caller) == SPEECH * 80 + QUIET * 720


def test_agents_are_voiced_only_while_their_audio_is_on_the_line() -> None:
    playout = playing(0.0)
    playout.append(0.1, bytes([0x10, 0x90]) * 400)

    assert not playout.recording.agents_voiced(0.0)
    assert not playout.recording.agents_voiced(0.1)
    assert playout.recording.agents_voiced(0.12)
    assert playout.recording.agents_voiced(0.2)
    assert not playout.recording.agents_voiced(0.22)


def test_the_recording_is_a_stereo_wav_of_both_sides() -> None:
    recording = HeardRecording(0.0)
    recording.level(0.5)

    wav = recording.wav()

    assert wav[:4] == b"RIFF"
    assert len(wav) == 44 + 4 * 4000
