"""The agent's voice: sentences become audio frames at twice the speed they play.

`Mouth` is the only task that speaks. It takes utterances in order and sends each sentence's frames on absolute
deadlines, its `ConversationText` and `History` after its first frame, and `AgentAudioDone` after the last sentence. An
interruption cuts it off between two frames, never inside one. It sleeps while there is nothing to say.
"""

from collections import deque

import attrs
import trio
from trio.lowlevel import ParkingLot

from protocol.deepgram import (
    AgentAudioDone,
    ConversationText,
    HistoryText,
    LatencyReport,
    ServiceWarning,
)
from simulators.deepgram.configuration import Voice
from simulators.deepgram.formats import AudioFormat
from simulators.deepgram.line import Line
from simulators.deepgram.messages import AgentStartedSpeaking
from simulators.speech import synthesise

DRIP_SPEED = 0.5


@attrs.define(eq=False)
class Utterance:
    """Sentences said in one go."""

    sentences: tuple[str, ...]
    tts: float
    """Seconds to the first audio frame."""
    since: float
    """When the user's turn ended: latencies count from here."""
    reports: bool = True
    handed: float = attrs.field(factory=trio.current_time)
    cut: trio.Event = attrs.field(factory=trio.Event, init=False)
    begun: bool = attrs.field(default=False, init=False)
    """Whether any of it has been sent."""
    sentence: int = attrs.field(default=0, init=False)
    rest: bytes = attrs.field(default=b"", init=False)
    """The audio that would have been next."""


@attrs.define(eq=False)
class Mouth:
    """One session's speech, in order."""

    _line: Line
    voice: Voice
    output: AudioFormat
    experimental: bool
    muted: bool = attrs.field(default=False, init=False)
    _queue: deque[Utterance] = attrs.field(factory=deque, init=False)
    _work: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    @property
    def busy(self) -> bool:
        return bool(self._queue)

    def say(self, utterance: Utterance) -> None:
        """Hand text to the synthesiser; it is spoken after what is already queued."""
        if utterance.sentences and not self.muted:
            self._queue.append(utterance)
            self._work.unpark_all()

    def cut_off(self) -> Utterance | None:
        """Say no more; return the utterance that was being said, if any of it had been sent."""
        current = self._queue[0] if self._queue else None
        self._queue.clear()
        if current is None:
            return None
        current.cut.set()
        return current if current.begun else None

    async def trail(self, cut: Utterance) -> None:
        """Let the late frames and the late sentence of a reply that was cut off still arrive."""
        for start in range(0, self._slice * self._line.knobs.late_frames, self._slice):
            if late := cut.rest[start : start + self._slice]:
                await self._line.send_audio(late)
        if self._line.knobs.late_sentence and cut.sentence + 1 < len(cut.sentences):
            await self._tell(cut.sentences[cut.sentence + 1])

    async def run(self) -> None:
        while True:
            while not self._queue:  # what was to be said may have been cut off again before this task runs
                await self._work.park()
            utterance = self._queue[0]
            await self._speak(utterance)
            if not utterance.cut.is_set():
                self._queue.popleft()

    async def _speak(self, utterance: Utterance) -> None:
        due = max(trio.current_time(), utterance.handed + utterance.tts)
        await self._fail_over()
        if await _cut_before(utterance, due):
            return
        for number, text in enumerate(utterance.sentences):
            utterance.sentence = number
            due = await self._speak_sentence(utterance, text, due)
            if utterance.cut.is_set():
                return
        await self._line.send(AgentAudioDone())

    async def _speak_sentence(self, utterance: Utterance, text: str, start: float) -> float:
        """Send one sentence's audio from `start` on, and return when the next one is due."""
        audio = self.output.from_telephone(synthesise(text, self.voice.name).audio)
        knobs = self._line.knobs
        text_first = self._line.rng.random() < 0.5 if knobs.text_first is None else knobs.text_first
        pace = self.output.bytes_per_second * (DRIP_SPEED if self._line.faults.has("drip") else knobs.speed)
        sent = min(self._slice, len(audio))
        if text_first:
            await self._begin(utterance, text)
        if audio:
            await self._line.send_audio(audio[:sent])
        if not text_first:
            await self._begin(utterance, text)
        while not await self._cut_in(utterance, audio, sent, start + sent / pace) and sent < len(audio):
            await self._line.send_audio(audio[sent : sent + self._slice])
            sent = min(sent + self._slice, len(audio))
        return start + len(audio) / pace

    async def _cut_in(self, utterance: Utterance, audio: bytes, sent: int, due: float) -> bool:
        if self._line.knobs.late_frames:
            utterance.rest = audio[sent : sent + self._slice * self._line.knobs.late_frames]
        return await _cut_before(utterance, due)

    async def _begin(self, utterance: Utterance, text: str) -> None:
        first, utterance.begun = not utterance.begun, True
        await self._tell(text)
        if not (first and utterance.reports):
            return
        total = trio.current_time() - utterance.since
        if self.experimental:
            thinking = max(0.0, total - utterance.tts)
            await self._line.send(
                AgentStartedSpeaking(total_latency=total, tts_latency=utterance.tts, ttt_latency=thinking)
            )
        if self._line.knobs.sends_latency_reports:
            await self._line.send(LatencyReport(tts_latency=utterance.tts))
            await self._line.send(LatencyReport(total_latency=total))

    async def _tell(self, text: str) -> None:
        await self._line.send(ConversationText(role="assistant", content=text))
        await self._line.send(HistoryText(role="assistant", content=text))

    async def _fail_over(self) -> None:
        for _ in range(min(self._line.knobs.speak_failures, self.voice.entries)):
            await self._line.send(ServiceWarning(code="SPEAK_REQUEST_FAILED", description="speak request failed"))
        if not self.output.supported:
            await self._line.fail("FAILED_TO_SPEAK", f"this simulator cannot speak {self.output.encoding}")
        if self._line.knobs.speak_failures >= self.voice.entries:
            await self._line.fail("FAILED_TO_SPEAK", "every speak provider failed")

    @property
    def _slice(self) -> int:
        return max(1, self.output.bytes_per_second * self._line.knobs.slice_ms // 1000)


async def _cut_before(utterance: Utterance, due: float) -> bool:
    """Wait until `due`, and tell whether the utterance was cut off before."""
    with trio.move_on_at(due):
        await utterance.cut.wait()
    return utterance.cut.is_set()
