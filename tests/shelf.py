"""The speech of the simulated calls of one run of the tests, synthesised once for all workers.

A text takes 12 ms of a processor, and each worker would say two hundred of them. `open_shelf` makes a folder, whose
name the workers inherit; `share_speech` keeps there what is synthesised, and finds what another worker has kept. The
folder is the run's own: its opener takes it away.
"""

import os
import pickle
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp

_FOLDER = "TESTS_SPEECH_SHELF"


def open_shelf() -> Path:
    """Make the folder; closing removes it."""
    os.environ[_FOLDER] = mkdtemp(prefix="switchboard-speech-")
    return Path(os.environ[_FOLDER])


def share_speech() -> None:
    """From here on, `synthesise` looks on the shelf first, where there is one."""
    if not (folder := os.environ.get(_FOLDER)):
        return
    from simulators import speech

    say = speech.say

    def shared(text: str, voice: str) -> speech.Utterance:
        place = Path(folder, sha256(f"{speech.ONLY_HUMS} {voice}: {text}".encode()).hexdigest())
        if place.exists():
            said: speech.Utterance = pickle.loads(place.read_bytes())  # noqa: S301 - another worker of this run has written it
            return said
        said = say(text, voice)
        with NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(pickle.dumps(said))
        Path(file.name).replace(place)  # at once: nobody finds half of it
        return said

    speech.say = shared
