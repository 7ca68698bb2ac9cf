"""Short clips of speech, made beforehand, for moments in which no agent can speak.

A `ClipBook` holds the filler in the voice of each agent, so that a silence can be filled in a familiar voice while no
session is alive. The web layer fills it, once a voice; looking one up never waits.
"""

import attrs


@attrs.define
class ClipBook:
    """Fillers by voice, as mu-law 8 kHz audio; any of them where the voice has none."""

    _by_voice: dict[str, bytes] = attrs.field(factory=dict)

    def put(self, voice: str, audio: bytes) -> None:
        self._by_voice[voice] = audio

    def __contains__(self, voice: str) -> bool:
        return voice in self._by_voice

    def get(self, voice: str) -> bytes | None:
        return self._by_voice.get(voice) or next(iter(self._by_voice.values()), None)
