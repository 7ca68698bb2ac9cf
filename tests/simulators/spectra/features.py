"""Features to compare: every 10 ms, how much of the sound is in each of 18 bands of a telephone's spectrum.

Pure functions over samples. The level is taken out, so that a distant microphone hears the same.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocol.audio import ulaw_to_linear

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

RATE: Final = 8000
HOP: Final = 80
"""Samples from one window to the next: 10 ms."""
WINDOW: Final = 256
HOPS_PER_SECOND: Final = RATE / HOP
_BANDS: Final = 18
_LOWEST, _HIGHEST = 150.0, 3550.0
_FLOOR: Final = 30.0


def _bank() -> Floats:
    """Return triangular bands, equally wide in mel, as a column each."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOWEST, _HIGHEST))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE)
    bands = [
        np.maximum(0, np.minimum((hertz - low) / (top - low), (high - hertz) / (high - top)))
        for low, top, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    return np.array(bands, float).T


_BANK: Final = _bank()
_HANN: Final = np.hanning(WINDOW)


def samples_of(audio: bytes) -> Floats:
    """Return telephone audio as samples."""
    return np.frombuffer(ulaw_to_linear(audio), "<i2").astype(float)


def windows_in(samples: Floats) -> int:
    """Return how many windows fit."""
    return max(0, (len(samples) - WINDOW) // HOP + 1)


def energies(samples: Floats) -> Floats:
    """Return the energy of each band, a row for each window that fits."""
    count = windows_in(samples)
    if not count:
        return np.zeros((0, _BANDS))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:count] * _HANN
    spectrum: Floats = (np.abs(np.fft.rfft(frames, axis=1)) ** 2) @ _BANK + _FLOOR
    return spectrum


def levels(samples: Floats) -> tuple[Floats, Floats]:
    """Return the level (dB) of the 10 ms in the middle of each window that fits, and of its four quarters."""
    count = windows_in(samples)
    inner = samples[(WINDOW - HOP) // 2 :][: count * HOP].reshape(count, 4, HOP // 4) ** 2
    return 10 * np.log10(inner.mean(axis=(1, 2)) + 1.0), 10 * np.log10(inner.mean(axis=2) + 1.0)


def shape(energy: Floats) -> Floats:
    """Return the form of spectra, whatever their level."""
    log = np.log(np.maximum(energy, energy.max(axis=-1, keepdims=True) * 1e-3))
    form: Floats = log - log.mean(axis=-1, keepdims=True)
    return form
