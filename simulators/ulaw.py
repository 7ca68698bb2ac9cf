"""µ-law made from 16-bit samples, as G.711 has it (https://www.itu.int/rec/T-REC-G.711).

Those who speak need it: callers and voice services. The server passes their audio on, and only ever expands it
(`protocol/audio.py`), so that it does without `audioop`.
"""

import warnings

__all__ = ["audioop", "linear_to_ulaw"]

with warnings.catch_warnings():
    # Deprecated in 3.11 and 3.12, gone in 3.13, where the distribution `audioop-lts` provides it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop


def linear_to_ulaw(data: bytes) -> bytes:
    """Compress 16-bit native samples to µ-law; half a sample is an `audioop.error`."""
    return audioop.lin2ulaw(data, 2)
