"""The ear for a microphone: it understands what came, bent and noisy as it may be, and nothing that did not."""

import difflib
from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
import pytest

from protocol.audio import FRAME_BYTES, silence
from simulators.hearing import SpeechEnded, SpeechStarted, WordHeard
from simulators.scenario import load_scenario
from simulators.speech import Utterance, linear_to_ulaw, synthesise
from tests.simulators.spectra.features import Floats, samples_of
from tests.simulators.spectra.recogniser import SpectralRecogniser

pytestmark = pytest.mark.slow

LINES = tuple(line.says for line in load_scenario("sale").caller.lines if line.says)
ALIKE = ("I live in Seattle.", "I live in Boston.", "I live in Seattle now.")
NEVER_SAID = (
    "The weather has been lovely this week.",
    "Could somebody fix the broken window upstairs?",
    "Elephants drink huge amounts of water.",
    "Bring three green apples tomorrow morning.",
    "He painted that old fence bright yellow.",
    "Turn left after the second bridge.",
)
RNG = np.random.default_rng(7)


def said(lines: Sequence[str], voice: str) -> tuple[Utterance, ...]:
    return tuple(synthesise(line, voice) for line in lines)


@attrs.frozen
class Script:
    """Sentences with pauses between them; where each word is."""

    audio: bytes
    words: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> "Script":
        audio, words = silence(50), []
        for utterance in utterances:
            words += [(w.text, len(audio) + w.start_byte, len(audio) + w.end_byte) for w in utterance.words]
            audio += utterance.audio + silence(40)
        return cls(audio, tuple(words))

    @property
    def texts(self) -> list[str]:
        return [text for text, _, _ in self.words]


def hear(audio: bytes, known: Sequence[Utterance]) -> list[str]:
    ear = SpectralRecogniser(known)
    frames = (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
    return [event.word for frame in frames for event in ear.hear(frame) if isinstance(event, WordHeard)]


def to_audio(samples: Floats) -> bytes:
    return linear_to_ulaw(np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes())


def loudness(samples: Floats) -> float:
    return float(np.sqrt(np.mean(samples[np.abs(samples) > 100] ** 2)))


def noisy(samples: Floats, decibels: float) -> Floats:
    return samples + RNG.normal(0, loudness(samples) / 10 ** (decibels / 20), len(samples))


def echoing(samples: Floats) -> Floats:
    """Put 200 ms of a room behind it."""
    room = RNG.normal(0, 1, 1600) * np.exp(-np.arange(1600) / 300) * 0.02
    room[0] = 1.0
    return np.convolve(samples, room)[: len(samples)]


BENT: Mapping[str, Callable[[Floats], Floats]] = {
    "as it is": lambda x: x,
    "far away": lambda x: x / 4,
    "too near": lambda x: np.clip(x * 4, -32000, 32000),
    "half a sample late": lambda x: (x + np.roll(x, 1)) / 2,
    "in noise of 20 dB": lambda x: noisy(x, 20),
    "in a room": echoing,
    "its gain wandering": lambda x: x * (1 + 0.6 * np.sin(np.arange(len(x)) / 9000)),
}


@pytest.mark.parametrize("bend", BENT)
@pytest.mark.parametrize("voice", ["caller-1", "caller-2"])
def test_speech_that_was_bent_is_understood(bend: str, voice: str) -> None:
    known = said(LINES, voice)
    script = Script.of(known)

    heard = hear(to_audio(BENT[bend](samples_of(script.audio))), known)

    matching = difflib.SequenceMatcher(a=script.texts, b=heard, autojunk=False).get_matching_blocks()
    found = sum(block.size for block in matching)
    assert found >= 0.95 * len(script.texts)
    assert len(heard) - found <= 1


def test_sentences_that_are_alike_are_told_apart() -> None:
    known = said(ALIKE, "caller-1")
    script = Script.of(known)

    assert hear(script.audio, known) == script.texts


@pytest.mark.parametrize("voice", ["caller-1", "caller-2", "aura-2-mars-en"])
def test_what_nobody_should_say_is_not_understood(voice: str) -> None:
    assert len(hear(Script.of(said(NEVER_SAID, voice)).audio, said(LINES, "caller-1"))) <= 1


def test_another_voice_and_noise_say_nothing() -> None:
    known = said(LINES, "caller-1")

    assert hear(Script.of(said(LINES[:6], "caller-2")).audio, known) == []
    assert hear(to_audio(RNG.normal(0, 1000, 80000)), known) == []


@pytest.mark.parametrize("filled", [True, False])
def test_lost_frames_are_lost_words(filled: bool) -> None:
    """Every 2.2 s, 300 ms are silent, or missing altogether: words of which too little came are not guessed."""
    known = said(LINES, "caller-1")
    script = Script.of(known)
    frames = len(script.audio) // FRAME_BYTES
    came = np.ones(frames, bool)
    for begin in range(60, frames, 110):
        came[begin : begin + 15] = False
    by_byte = np.repeat(came, FRAME_BYTES)
    audio = np.frombuffer(script.audio, np.uint8).copy()
    left = np.where(by_byte, audio, 255).astype(np.uint8) if filled else audio[by_byte]

    heard = hear(left.tobytes(), known)

    share = [float(by_byte[begin:end].mean()) for _, begin, end in script.words]
    matching = difflib.SequenceMatcher(a=script.texts, b=heard, autojunk=False).get_matching_blocks()
    told = {block.a + n for block in matching for n in range(block.size)}
    whole = [n for n, each in enumerate(share) if each >= 0.9]
    lost = [n for n, each in enumerate(share) if each < 0.7]
    assert len(lost) >= 5
    assert len(told.intersection(whole)) >= 0.95 * len(whole)
    assert len(told.intersection(lost)) <= 1


def test_speech_begins_and_ends() -> None:
    utterance = synthesise(LINES[1], "caller-1")
    ear = SpectralRecogniser([utterance], pause=0.5)
    events = ear.hear(silence(50) + utterance.audio + silence(50))
    first, last = events[0], events[-1]

    assert isinstance(first, SpeechStarted)
    assert first.at == pytest.approx(1.0, abs=0.1)
    assert isinstance(last, SpeechEnded)
    assert last.text == LINES[1]
    assert last.at == pytest.approx(1.0 + utterance.seconds + 0.5, abs=0.15)
