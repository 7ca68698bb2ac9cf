"""Voices: the same bytes everywhere, whole frames, loud, and words where they are said."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import espeakng_loader
import pytest

from protocol.audio import FRAME_BYTES, is_voiced, silence, ulaw_to_linear
from simulators import speech
from simulators.espeak import Speech, SpeechError, Voice, speak
from simulators.hearing import Recogniser, SpeechEnded
from simulators.speech import QUIET, VOICES, say, synthesise, voice_for

LINES = (
    ("Sure, I have a few minutes.", "caller-1"),
    ("Nice to meet you, John.", "aura-2-mars-en"),
    ("Yes, please.", "caller-2"),
    ("Who am I speaking with?", "somebody else"),
)

IN_ANOTHER_PROCESS = """
import hashlib, json, sys
from simulators import speech
from simulators.speech import synthesise
lines, speech.ONLY_HUMS = json.loads(sys.argv[1])
print(json.dumps([hashlib.sha256(synthesise(*line).audio).hexdigest() for line in lines]))
"""


@pytest.fixture(params=["espeak-ng", "hums"])
def synthesiser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With espeak-ng, and as it is where that is not installed."""
    monkeypatch.setattr(speech, "ONLY_HUMS", request.param == "hums")
    synthesise.cache_clear()
    yield
    synthesise.cache_clear()


def digest(text: str, voice: str) -> str:
    return hashlib.sha256(synthesise(text, voice).audio).hexdigest()


@pytest.mark.slow
@pytest.mark.usefixtures("synthesiser")
def test_the_same_words_are_the_same_bytes_in_every_process_and_order() -> None:
    here = [digest(*line) for line in LINES]

    for order in (LINES[::-1], (*LINES[2:], *LINES[:2])):
        ran = subprocess.run(  # noqa: S603  # our own interpreter and a constant script
            [sys.executable, "-W", "error", "-c", IN_ANOTHER_PROCESS, json.dumps((order, speech.ONLY_HUMS))],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert dict(zip(order, json.loads(ran.stdout), strict=True)) == dict(zip(LINES, here, strict=True))


@pytest.mark.usefixtures("synthesiser")
def test_what_was_said_before_does_not_matter() -> None:
    first = [synthesise.__wrapped__(*line) for line in LINES]

    second = [synthesise.__wrapped__(*line) for line in reversed(LINES)]

    assert first == second[::-1]


def test_an_utterance_is_said_once_and_kept() -> None:
    assert synthesise(*LINES[0]) is synthesise(*LINES[0])


@pytest.mark.slow
@pytest.mark.usefixtures("synthesiser")
@pytest.mark.parametrize("voice", [*VOICES, "unknown"])
def test_speech_is_whole_frames_clear_and_not_clipped(voice: str) -> None:
    utterance = synthesise("Sure, I am ready now.", voice)
    samples = memoryview(ulaw_to_linear(utterance.audio)).cast("h")
    frames = [utterance.audio[at : at + FRAME_BYTES] for at in range(0, len(utterance.audio), FRAME_BYTES)]

    assert len(utterance.audio) % FRAME_BYTES == 0
    assert 1.0 < utterance.seconds < 3.0
    assert 8000 < max(samples) < 32000
    assert sum(map(is_voiced, frames)) > len(frames) / 2
    assert any(map(is_voiced, frames[:6]))
    assert any(map(is_voiced, frames[-8:]))


@pytest.mark.usefixtures("synthesiser")
def test_every_known_voice_is_another() -> None:
    assert len({digest("Yes.", voice) for voice in VOICES}) == len(VOICES)


def test_an_unknown_voice_is_always_the_same_one() -> None:
    assert voice_for("aura-2-zeus-en") == voice_for("aura-2-zeus-en")
    assert len({voice_for(f"aura-2-voice{n}-en") for n in range(50)}) > 8


@pytest.mark.usefixtures("synthesiser")
@pytest.mark.parametrize(
    "text",
    [
        "Sure, I have a few minutes.",
        "Yes please — a 45-year-old, I'd say, of the city, don't you?",
        "No.",
        "“Curly quotes”, naïve cafés & 3 % of it…",
        "One sentence. Another one! And is this the third?",
    ],
)
def test_words_lie_in_order_within_the_audio_and_make_up_the_text(text: str) -> None:
    utterance = synthesise(text, "caller-1")

    assert " ".join(word.text for word in utterance.words) == text
    for word in utterance.words:
        assert 0 <= word.start_byte < word.end_byte <= len(utterance.audio)
        sound = utterance.audio[word.start_byte : word.end_byte]
        assert sound == sound.strip(QUIET)
    for one, next_one in pairwise(utterance.words):
        assert one.end_byte <= next_one.start_byte


def test_a_word_that_takes_no_time_goes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    said = speak("Hello there.", voice_for("caller-1"))
    (_, begin), (_, there) = said.words
    monkeypatch.setattr(speech, "speak", lambda *_: Speech(said.samples, ((0, begin), (6, there), (12, there))))

    utterance = synthesise.__wrapped__("Hello ahem there.", "caller-1")

    assert [word.text for word in utterance.words] == ["Hello", "ahem there."]


@pytest.mark.usefixtures("synthesiser")
@pytest.mark.parametrize("text", ["", "   ", "..."])
def test_a_text_without_words_is_no_audio(text: str) -> None:
    utterance = synthesise(text, "caller-1")

    assert (utterance.audio, utterance.words, utterance.seconds) == (b"", (), 0.0)


@pytest.mark.usefixtures("synthesiser")
def test_of_a_text_without_end_only_the_beginning_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "LONGEST", 12)

    assert say("Hello there, and so on and so on.", "caller-1") == say("Hello there,", "caller-1")


def test_a_voice_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SpeechError, match="no voice 'xx-nowhere'"):
        speak("Hello.", Voice("xx-nowhere"))


def test_a_library_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")

    with pytest.raises(SpeechError, match="cannot be loaded"):
        speak("Hello.", Voice("en-us"))


def test_a_hum_is_heard_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "ONLY_HUMS", True)
    said = [say(text, "caller-1") for text in ("Yes please.", "Yes, please, at nine.", "No, thank you.", "Oh, a nine!")]

    for one in said:
        events = Recogniser(said).hear(one.audio + silence(50))
        assert [event.text for event in events if isinstance(event, SpeechEnded)] == [one.text]
