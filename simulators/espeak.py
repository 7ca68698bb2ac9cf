"""The speech synthesiser, as a shared library: espeak-ng, through ctypes.

`speak` returns 16-bit samples and where each word begins. espeak-ng keeps the state of its generator, its echo and its
noise from one utterance to the next, so that the same words come out differently; the library is therefore loaded
afresh for every utterance (a few milliseconds) and its noise is seeded. One utterance at a time in a process, under a
lock. A library that cannot be used is `SpeechError`. Where it is not installed, `hum` takes the place of `speak`: each
word is a hum of three tones, as long as its letters, drawn by its letters and the voice, so that the same word in the
same voice is the same sound in every process. It is for the simulated ear; a person understands nothing.

Constants and structures: https://github.com/espeak-ng/espeak-ng/blob/1.51/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import _ctypes
import ctypes
import math
import random
import re
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import Final, TypeAlias

import attrs

SAMPLE_RATE: Final = 22050
"""What espeak-ng 1.51 produces with every formant voice; checked when it is initialised."""

_SYNCHRONOUS: Final = 2
_UTF8: Final = 1
_AT_CHARACTER: Final = 1
_NO_END: Final = 0
_EVENT_LIST_ENDS: Final = 0
_EVENT_WORD: Final = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_SEED: Final = 1


ONLY_HUMS: Final = find_spec("espeakng_loader") is None
"""Whether there is no espeak-ng, and voices are hums."""
NOTICE: Final = "espeak-ng is not installed: voices are hums; pip install 'switchboard-voice[demo]'"

_TONES: Final = ((100, 260, 0.5), (350, 850, 0.3), (1100, 2600, 0.2))
"""Of each tone: between which frequencies it lies, and its share."""
_LOUDEST: Final = 16_000
_RECKONED: Final = SAMPLE_RATE // 2
"""Samples a second that are reckoned; each is written twice, which the phone's filter makes smooth."""
_SWELL: Final = 0.015
"""Seconds in which a word swells and fades."""
_GAP: Final = 0.04
_GAPS: Final = {",": 0.15, ";": 0.2, ":": 0.2, ".": 0.35, "!": 0.35, "?": 0.35, "…": 0.35}
_LETTERS_A_WORD: Final = 7.5


class SpeechError(Exception):
    """espeak-ng is installed and cannot be loaded, or does not know a voice."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )
    type: int
    text_position: int
    audio_position: int


_EventList: TypeAlias = "ctypes._Pointer[_Event]"
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@attrs.frozen
class Voice:
    """An espeak-ng voice with its settings."""

    name: str
    words_per_minute: int = 165
    pitch: int = 50
    """0 to 100."""
    melody: int = 50
    """0 to 100, how much the pitch moves."""


@attrs.frozen
class Speech:
    """Synthesised audio: 16-bit native samples, and the words as (index of the first character, seconds)."""

    samples: bytes
    words: tuple[tuple[int, float], ...]


_ONE_AT_A_TIME: Final = Lock()
_SILENT_SPEECH: Final = Speech(b"", ())


def speak(text: str, voice: Voice) -> Speech:
    """Synthesise a text; the same bytes whatever was said before, in every process.

    *Raises* `SpeechError`.
    """
    if not text.strip():
        return _SILENT_SPEECH
    with _ONE_AT_A_TIME, _fresh_library() as library:
        return _speak(library, text, voice)


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    library, voices = _load()
    try:
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, voices.encode(), 0)
        if rate != SAMPLE_RATE:
            raise SpeechError(f"espeak-ng gives {rate} samples a second instead of {SAMPLE_RATE}")
        library.espeak_ng_SetRandSeed(_SEED)
        yield library
    finally:
        library.espeak_Terminate()
        _unload(library)


def _load() -> tuple[ctypes.CDLL, str]:
    """Load espeak-ng, from the package of the extra `demo`; return it with the folder of its voices."""
    loader = import_module("espeakng_loader")
    try:
        return ctypes.CDLL(loader.get_library_path()), str(loader.get_data_path())
    except OSError as problem:
        raise SpeechError(f"espeak-ng cannot be loaded: {problem}") from problem


def _unload(library: ctypes.CDLL) -> None:
    if sys.platform == "win32":  # pragma: no cover
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _speak(library: ctypes.CDLL, text: str, voice: Voice) -> Speech:
    if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
        raise SpeechError(f"espeak-ng has no voice {voice.name!r}")
    for parameter, value in ((_RATE, voice.words_per_minute), (_PITCH, voice.pitch), (_RANGE, voice.melody)):
        library.espeak_SetParameter(parameter, value, 0)
    samples = bytearray()
    words: list[tuple[int, float]] = []
    receive = _Callback(_receiver(samples, words))
    library.espeak_SetSynthCallback(receive)
    encoded = text.encode() + b"\0"
    library.espeak_Synth(encoded, len(encoded), 0, _AT_CHARACTER, _NO_END, _UTF8, None, None)
    return Speech(bytes(samples), tuple(words))


def _receiver(samples: bytearray, words: list[tuple[int, float]]) -> Callable[[int | None, int, _EventList], int]:
    def receive(wave: int | None, count: int, events: _EventList) -> int:
        if wave and count:
            samples.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while (event := events[index]).type != _EVENT_LIST_ENDS:
            if event.type == _EVENT_WORD:
                words.append((event.text_position - 1, event.audio_position / 1000))
            index += 1
        return 0

    return receive


def hum(text: str, voice: Voice) -> Speech:
    """Hum a text, word by word; a text without words is no sound."""
    samples, words = array("h"), list[tuple[int, float]]()
    for word in re.finditer(r"\S*\w\S*", text):
        words.append((word.start(), len(samples) / SAMPLE_RATE))
        samples.extend(_word("".join(filter(str.isalnum, word[0].lower())), voice))
        samples.extend(bytes(round(_GAPS.get(word[0][-1], _GAP) * SAMPLE_RATE)))
    return Speech(samples.tobytes(), tuple(words))


@lru_cache(maxsize=4096)
def _word(letters: str, voice: Voice) -> array[int]:
    rng = random.Random(f"{letters} {voice}")
    count = round((len(letters) + 1) * 60 / voice.words_per_minute / _LETTERS_A_WORD * _RECKONED)
    sound = [0.0] * count
    for low, high, share in _TONES:
        step, glide = 2 * math.pi * rng.uniform(low, high) / _RECKONED, rng.uniform(-0.2, 0.2) / count
        sound = [before + share * math.sin(step * n * (1 + glide * n)) for n, before in enumerate(sound)]
    swell = _SWELL * _RECKONED
    loud = [int(_LOUDEST * min(1.0, n / swell, (count - n) / swell) * value) for n, value in enumerate(sound)]
    return array("h", [sample for sample in loud for _ in range(2)])
