"""Sentences of a scenario's caller, where a person speaks for them: the scenario's lines, and any other one.

`Vocabulary` grows while calls run; sessions that listen by `hearing` understand at once what is added. It says all in
the voice of the scenario's caller.
"""

import attrs

from simulators.deepgram.knobs import Seconds
from simulators.hearing import Hearing, Recogniser
from simulators.scenario import Scenario
from simulators.speech import Utterance, synthesise


@attrs.define
class Vocabulary:
    """Everything that may be said."""

    voice: str
    utterances: list[Utterance]
    lines: tuple[str, ...]
    """The caller's of the scenario, in the order of the conversation."""

    @classmethod
    def of(cls, scenario: Scenario) -> "Vocabulary":
        """Synthesise the lines of a scenario. Blocks.

        *Raises* `SpeechError`.
        """
        lines = tuple(line.says for line in scenario.caller.lines if line.says is not None)
        vocabulary = cls(scenario.caller.voice, [], lines)
        vocabulary.utterances += map(vocabulary.synthesise, lines)
        return vocabulary

    def synthesise(self, text: str) -> Utterance:
        """Say a sentence in the caller's voice. Blocks.

        *Raises* `SpeechError`.
        """
        return synthesise(text, self.voice)

    def add(self, utterance: Utterance) -> None:
        """Have a sentence understood from now on."""
        if utterance not in self.utterances:
            self.utterances.append(utterance)

    def hearing(self, pause: Seconds) -> Hearing:
        """Return what understands all of this, and what is added later."""
        return Recogniser(self.utterances, pause=pause)
