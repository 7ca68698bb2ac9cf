"""Hearing: only what arrived, in the order it arrived, however it is cut."""

import random
from collections.abc import Sequence

import pytest

from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, SILENCE, silence
from simulators.hearing import Heard, Recogniser, SpeechEnded, SpeechStarted, WordHeard
from simulators.speech import Utterance, Word, synthesise
from tests.examples import one_in

LINES = (
    "Sure, I have a few minutes.",
    "My name is John Smith.",
    "Yes, please.",
    "Yes, please. That sounds good to me, thank you.",
    "Next Wednesday afternoon would be best.",
)
UTTERANCES = tuple(synthesise(line, "caller-1") for line in LINES)
LONG = UTTERANCES[3]
QUIET_SECOND = silence(50)


def hear(stream: bytes, *, cut: int = FRAME_BYTES, utterances: Sequence[Utterance] = UTTERANCES) -> list[Heard]:
    recogniser = Recogniser(utterances)
    return [event for at in range(0, len(stream), cut) for event in recogniser.hear(stream[at : at + cut])]


def texts(stream: bytes, *, cut: int = FRAME_BYTES, utterances: Sequence[Utterance] = UTTERANCES) -> list[str]:
    events = hear(stream + QUIET_SECOND, cut=cut, utterances=utterances)
    return [event.text for event in events if isinstance(event, SpeechEnded)]


def without(audio: bytes, start: int, end: int) -> bytes:
    return audio[:start] + audio[end:]


def babble(seconds: float, seed: int = 1) -> bytes:
    loud = random.Random(seed)
    return bytes(loud.choice(b"\x10\x90\x20\xa0\x18\x98") for _ in range(int(seconds * BYTES_PER_SECOND)))


@pytest.mark.parametrize("cut", one_in(2, [160, 1, 640, 73, 10**7]))
@pytest.mark.parametrize("shift", one_in(2, [0, 1, 77]))
def test_everything_is_heard_however_the_stream_is_cut_and_wherever_it_begins(cut: int, shift: int) -> None:
    stream = QUIET_SECOND + b"".join(utterance.audio + QUIET_SECOND for utterance in UTTERANCES)

    assert texts(stream[shift:], cut=cut) == list(LINES)


def test_events_come_in_order_with_their_times_in_audio() -> None:
    events = hear(QUIET_SECOND + UTTERANCES[2].audio + QUIET_SECOND)

    started, *words, ended = events
    assert isinstance(started, SpeechStarted)
    assert started.at == pytest.approx(1.0, abs=0.04)
    assert [word.word for word in words if isinstance(word, WordHeard)] == ["Yes,", "please."]
    last = 1.0 + UTTERANCES[2].words[-1].end_byte / BYTES_PER_SECOND
    assert isinstance(words[-1], WordHeard)
    assert words[-1].at == pytest.approx(last)
    assert isinstance(ended, SpeechEnded)
    assert ended.at == pytest.approx(last + 0.5, abs=0.05)
    assert ended.text == "Yes, please."


def test_a_backlog_in_one_piece_is_heard_like_live_speech() -> None:
    stream = b"".join(utterance.audio + QUIET_SECOND for utterance in UTTERANCES)

    assert hear(stream, cut=len(stream)) == hear(stream)


def test_silence_is_nothing() -> None:
    recogniser = Recogniser(UTTERANCES)

    assert recogniser.hear(silence(500)) == ()
    assert recogniser.hear(b"") == ()


def test_a_long_pause_within_an_utterance_does_not_end_it() -> None:
    parts = (synthesise("One moment.", "caller-1"), synthesise("Here it is.", "caller-1"))
    audio = parts[0].audio + silence(60) + parts[1].audio
    later = len(parts[0].audio + silence(60))
    words = parts[0].words + tuple(Word(w.text, w.start_byte + later, w.end_byte + later) for w in parts[1].words)
    slow = Utterance("One moment. Here it is.", "caller-1", audio, words)

    assert texts(audio, utterances=[slow]) == ["One moment. Here it is."]


def test_300_ms_lost_are_words_missing() -> None:
    word = LONG.words[1]
    stream = without(LONG.audio, word.start_byte, word.start_byte + 2400)

    assert texts(stream) == ["Yes, That sounds good to me, thank you."]


@pytest.mark.parametrize(("share", "heard"), [(0.15, True), (0.25, False)])
def test_a_word_is_heard_when_four_fifths_of_it_came(share: float, heard: bool) -> None:
    word = next(word for word in LONG.words if word.text == "sounds")
    size = word.end_byte - word.start_byte
    middle = word.start_byte + size // 3

    assert ("sounds" in texts(without(LONG.audio, middle, middle + int(size * share)))[0]) == heard


@pytest.mark.parametrize("seed", one_in(3, range(60)))
def test_any_lost_frames_cost_exactly_the_words_they_were_part_of(seed: int) -> None:
    chance = random.Random(seed)
    count = len(LONG.audio) // FRAME_BYTES
    lost = set(chance.sample(range(count), chance.randint(1, 12)))
    frames = [LONG.audio[n * FRAME_BYTES : (n + 1) * FRAME_BYTES] for n in range(count)]
    missing = {byte for n in lost for byte in range(n * FRAME_BYTES, (n + 1) * FRAME_BYTES)}
    expected = [
        word.text
        for word in LONG.words
        if len(missing & set(range(word.start_byte, word.end_byte))) <= 0.2 * (word.end_byte - word.start_byte)
    ]
    stream = bytes([SILENCE]) * chance.randrange(FRAME_BYTES) + b"".join(
        frame for n, frame in enumerate(frames) if n not in lost
    )

    assert texts(stream) == [" ".join(expected)]


def test_an_utterance_cut_in_a_word_and_continued_later_loses_nothing() -> None:
    word = LONG.words[3]
    for share in (0.3, 0.6, 0.9):
        cut = word.start_byte + int((word.end_byte - word.start_byte) * share)
        heard = texts(LONG.audio[:cut] + QUIET_SECOND + LONG.audio[cut:])

        assert " ".join(heard) == LONG.text
        assert len(heard) == 2


def test_words_whose_bytes_come_again_are_heard_again() -> None:
    again = LONG.words[1].start_byte - 100

    stream = LONG.audio[: LONG.words[2].start_byte] + LONG.audio[again:]

    assert texts(stream) == ["Yes, please. please. That sounds good to me, thank you."]


def test_a_frame_that_comes_twice_or_too_early_costs_nothing() -> None:
    audio = LONG.audio
    twice = audio[:8000] + audio[7840:]
    swapped = audio[:8000] + audio[8160:8320] + audio[8000:8160] + audio[8320:]

    assert texts(twice) == texts(swapped) == [LONG.text]


def test_a_stream_that_begins_in_the_middle_has_the_rest() -> None:
    assert texts(LONG.audio[LONG.words[3].start_byte + 50 :]) == ["sounds good to me, thank you."]


def test_a_caller_who_breaks_off_has_said_what_came() -> None:
    assert texts(LONG.audio[: LONG.words[2].start_byte + 100]) == ["Yes, please."]


def test_two_utterances_without_a_pause_are_one_speech() -> None:
    assert texts(UTTERANCES[0].audio + UTTERANCES[1].audio) == [f"{LINES[0]} {LINES[1]}"]


def test_noise_is_speech_without_words() -> None:
    events = hear(babble(1.0) + QUIET_SECOND)

    assert events == [SpeechStarted(0.0), SpeechEnded(1.5, "")]


def test_a_short_click_is_nothing() -> None:
    assert hear(babble(0.08) + QUIET_SECOND + babble(0.08) + QUIET_SECOND) == []


def test_words_are_understood_right_after_noise() -> None:
    assert texts(babble(0.5) + LONG.audio) == [LONG.text]


def test_noise_in_the_middle_costs_only_what_it_covers() -> None:
    word = LONG.words[1]
    covered = LONG.audio[: word.start_byte] + babble((word.end_byte - word.start_byte) / BYTES_PER_SECOND)

    stream = covered + LONG.audio[len(covered) :]

    assert texts(stream) == ["Yes, That sounds good to me, thank you."]


def alike(*texts_of: str) -> tuple[Utterance, ...]:
    """Make utterances that begin with the same two words, byte for byte."""
    head = UTTERANCES[2]
    tails = [synthesise(text, "caller-1") for text in texts_of]
    later = len(head.audio)
    return tuple(
        Utterance(
            f"{head.text} {tail.text}", "caller-1", head.audio + tail.audio,
            head.words + tuple(Word(w.text, w.start_byte + later, w.end_byte + later) for w in tail.words),
        )
        for tail in tails
    )  # fmt: skip


def test_utterances_that_begin_alike_are_told_apart_by_what_follows() -> None:
    both = alike("On Monday.", "On Tuesday.")

    assert texts(both[1].audio, utterances=both) == ["Yes, please. On Tuesday."]
    assert texts(both[0].audio, utterances=both) == ["Yes, please. On Monday."]


def test_what_cannot_be_told_apart_is_still_heard() -> None:
    both = alike("On Monday.", "On Tuesday.")

    assert texts(UTTERANCES[2].audio, utterances=both) == ["Yes, please."]


def test_an_utterance_of_two_lines_is_known_once() -> None:
    assert texts(UTTERANCES[0].audio, utterances=[UTTERANCES[0], UTTERANCES[0]]) == [LINES[0]]


def test_speech_of_another_voice_is_noise() -> None:
    assert texts(synthesise(LINES[0], "caller-2").audio) == [""]


def test_nothing_can_be_said_is_all_noise() -> None:
    assert texts(UTTERANCES[0].audio, utterances=[]) == [""]
