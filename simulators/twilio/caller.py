"""The person on the phone: listens, waits for a turn, speaks the scenario's lines, presses keys, hangs up.

`CallerTurns` owns the turn-taking of one caller for a whole call, across media streams. It is asked once for every
20 ms frame what the caller does, told only whether the agents were audible in the frame just heard, and counts time in
frames: no clock, no task. It never sees text, marks or anything else that a person on a phone would not.
"""

import enum
from typing import Final, TypeAlias

import attrs

from protocol.audio import FRAME_BYTES, FRAME_SECONDS
from simulators.scenario import Caller, CallerLine
from simulators.speech import synthesise


@attrs.frozen
class KeepsSilent:
    """Nothing is said in this frame."""


@attrs.frozen
class StartsLine:
    """The first frame of a line."""

    frame: bytes
    text: str
    frames: int


@attrs.frozen
class GoesOn:
    """A further frame of the line being spoken."""

    frame: bytes


@attrs.frozen
class PressesKey:
    """One key is pressed in this frame."""

    digit: str


@attrs.frozen
class HangsUp:
    """The phone is put down."""


CallerAct: TypeAlias = KeepsSilent | StartsLine | GoesOn | PressesKey | HangsUp


class Attention(enum.Enum):
    """The caller's activity."""

    LISTENING = enum.auto()
    SPEAKING = enum.auto()
    PRESSING = enum.auto()
    SULKING = enum.auto()
    GONE = enum.auto()


BETWEEN_DIGITS: Final = 0.3
HANGS_UP_AFTER: Final = 1.5
"""Seconds of agents' silence after the answer to the last line."""
GIVES_UP_AFTER: Final = 60.0
"""Seconds of silence after which a caller who waits for the agents to hang up does it after all."""


def frames(seconds: float) -> int:
    return round(seconds / FRAME_SECONDS)


_SILENT = KeepsSilent()


@attrs.define
class CallerTurns:
    """One caller's turn-taking; `step` once a frame."""

    caller: Caller
    attention: Attention = attrs.field(default=Attention.LISTENING, init=False)
    _line: int = attrs.field(default=0, init=False)
    _now: int = attrs.field(default=-1, init=False)
    _left_off: int = attrs.field(default=0, init=False)
    _last_voice: int | None = attrs.field(default=None, init=False)
    _reply_began: int | None = attrs.field(default=None, init=False)
    _audio: bytes = attrs.field(default=b"", init=False)
    _offset: int = attrs.field(default=0, init=False)
    _digits: str = attrs.field(default="", init=False)
    _until: int = attrs.field(default=0, init=False)

    def step(self, agents_voiced: bool) -> CallerAct:
        """Say what the caller does in the next frame, given whether the agents were audible in the last."""
        self._now += 1
        if agents_voiced:
            self._last_voice = self._now
            if self._reply_began is None:
                self._reply_began = self._now
        match self.attention:
            case Attention.LISTENING:
                return self._take_turn() if self._is_my_turn() else _SILENT
            case Attention.SPEAKING:
                return self._go_on()
            case Attention.PRESSING:
                return self._press()
            case Attention.SULKING:
                return self._finish_line() if self._now >= self._until else _SILENT
            case Attention.GONE:
                return HangsUp()

    def listen_again(self) -> None:
        """Begin another stream: whatever was answered on the last one, the caller now waits for somebody to speak."""
        self._reply_began = None
        self._left_off = self._now

    def _is_my_turn(self) -> bool:
        quiet = self._now - max(self._left_off, self._last_voice or 0)
        if self._line < len(self.caller.lines):
            return self._is_time_for(self.caller.lines[self._line], quiet)
        if self.caller.hangs_up:
            return self._was_answered(quiet, HANGS_UP_AFTER)
        return quiet >= frames(GIVES_UP_AFTER)

    def _is_time_for(self, line: CallerLine, quiet: int) -> bool:
        if line.after is not None:
            return self._now - self._left_off >= frames(line.after)
        if line.barge_in is not None:
            if self._reply_began is not None:
                return self._now - self._reply_began >= frames(line.barge_in)
            return quiet >= frames(self.caller.patience)
        return self._was_answered(quiet, line.pause)

    def _was_answered(self, quiet: int, pause: float) -> bool:
        answered = self._reply_began is not None and quiet >= frames(pause)
        return answered or quiet >= frames(self.caller.patience)

    def _take_turn(self) -> CallerAct:
        if self._line == len(self.caller.lines):
            return self._hang_up()
        line = self.caller.lines[self._line]
        self._line += 1
        self._reply_began = None
        if line.says:
            return self._speak(line.says)
        if line.digits:
            self.attention, self._digits = Attention.PRESSING, line.digits
            return self._press()
        if line.silent is not None:
            self.attention, self._until = Attention.SULKING, self._now + frames(line.silent)
            return _SILENT
        return self._finish_line()

    def _speak(self, text: str) -> CallerAct:
        self.attention = Attention.SPEAKING
        self._audio = synthesise(text, self.caller.voice).audio
        self._offset = FRAME_BYTES
        return StartsLine(self._audio[:FRAME_BYTES], text, len(self._audio) // FRAME_BYTES)

    def _go_on(self) -> CallerAct:
        frame = self._audio[self._offset : self._offset + FRAME_BYTES]
        self._offset += FRAME_BYTES
        if frame:
            return GoesOn(frame)
        self._reply_began = None
        return self._finish_line()

    def _press(self) -> CallerAct:
        if self._now < self._until:
            return _SILENT
        if not self._digits:
            self._reply_began = None
            return self._finish_line()
        digit, self._digits = self._digits[0], self._digits[1:]
        self._until = self._now + (frames(BETWEEN_DIGITS) if self._digits else 0)
        return PressesKey(digit)

    def _finish_line(self) -> CallerAct:
        self.attention, self._left_off = Attention.LISTENING, self._now
        return self._hang_up() if self.caller.lines[self._line - 1].hangs_up else _SILENT

    def _hang_up(self) -> HangsUp:
        self.attention = Attention.GONE
        return HangsUp()
