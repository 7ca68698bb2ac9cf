"""Things that go wrong on purpose, one line each.

A fault line names the service, what goes wrong, and when: `deepgram: drop after 8 s`. `parse_fault` reads one
line, `FaultPlan` answers each simulator's question ("what is wrong with this connection?"). Nothing here does
anything: the simulators act it out. Nothing is random. A line that cannot be read is a `FaultError`.

deepgram: (N-th connection: `on connection K`, `every connection`, `times N` = N connections in a row)

    refuse connect 2              the 2nd connection and all later ones are refused with HTTP 503
    refuse connect 2 times 1      only the 2nd
    refuse connect 1 with 429     refused with 401, 404, 429 or 503
    no upgrade                    the TCP connection is accepted, and the upgrade never answered
    no welcome                    the socket is upgraded, and nothing is ever said
    drop after 8 s                TCP drop 8 s after SettingsApplied
    silent drop after 8 s         the line is dead and nobody says so: all is swallowed, nothing comes, no close
    stall after 3 s               the socket stays open; says nothing, reads nothing
    mute after 3 s                reads and acknowledges, but the agent never says another word
    garbage after 3 s             one text frame that is not JSON
    odd messages after 3 s        messages without what they must have, or with values that are none
    error INTERNAL_SERVER_ERROR after 3 s    an Error message with this code, then close
    close 1011 after 3 s          a close frame with 1000, 1005 (no code) or 1011
    slow settings 2 s             SettingsApplied comes 2 s late
    slow think 4 s                each answer of the model comes 4 s late
    slow tts 1 s                  the first audio of each reply comes 1 s late
    drip                          agent audio comes at half of real time
    cancel call 1 s               the first function call still open after 1 s is cancelled, deferred or not
    no ack think                  UpdateThink is done and never acknowledged; also speak, prompt, listen
    slow ack think 2 s            it is done at once, and acknowledged 2 s late
    refuse update think           it is answered by an Error INVALID_SETTINGS, then close
    drop at update speak          TCP drop when UpdateSpeak comes, which is between ThinkUpdated and SpeakUpdated

Without `after`, the fault comes in place of SettingsApplied (`mute`: right after it). `slow ...`, `drip` and those of
updates hit every connection, the others only the first one, unless the line says which.

twilio:

    jitter 60 ms                  media frames leave up to 60 ms late, in order
    stop without close            `stop` is sent, the socket stays open
    close without stop            the socket is dropped, no `stop` before it
    stalled reader after 5 s      the phone side stops reading its socket 5 s after `start`
    no media after 5 s            the stream carries no frame any more 5 s after `start`; all else goes on
    duplicate start               `start` is sent twice
    bad frames 3                  three unreadable text frames between the media frames

line: (the caller's sound itself, on every media stream)

    loss 5 %                      this share of the caller's frames never arrives
    noise 30 dB                   a hiss, so much softer than a voice
    clipping 9 dB                 peaks are cut, so much above the loudness of a voice
    echo 30 dB                    the agents' sound comes back, so much softer, 200 ms later
    cough after 5 s               somebody coughs, 5 s after `start`
    two people after 5 s          somebody else in the room says a sentence

groq: (`on request K`, `times N` = N requests in a row; otherwise every request)

    429                           HTTP 429 with retry-after
    500                           HTTP 500
    model_not_found               HTTP 404, as for a model that was shut down
    model_decommissioned          HTTP 400, as for some of them
    json_validate_failed          HTTP 400, as for a model that did not get to the end of its JSON
    hang                          accepts the request and never answers
    garbage                       HTTP 200, and a body that is not JSON
    slow 2 s                      the answer comes 2 s late
    drip                          the answer comes at one byte a second
    refused                       the connection is refused
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias, cast

import attrs

from simulators.fault_lines import FOREVER, FORMS, Fault, FaultError, Kind, Target, parse_fault, parse_faults
from simulators.line_faults import LineFaults

__all__ = [
    "FOREVER", "FORMS", "ConnectionFaults", "Fault", "FaultError", "FaultPlan", "GroqAnswer", "Kind", "RequestFaults",
    "Step", "StepKind", "Target", "TwilioFaults", "UpdateFault", "parse_fault", "parse_faults",
]  # fmt: skip

GroqAnswer: TypeAlias = Literal[
    "429", "500", "model_not_found", "model_decommissioned", "json_validate_failed", "hang", "garbage", "drip",
    "refused",
]  # fmt: skip
StepKind: TypeAlias = Literal["drop", "silent drop", "stall", "mute", "garbage", "odd messages", "error", "close"]


@attrs.frozen
class Step:
    """Something that happens to one Deepgram connection, once; `after` None: in place of SettingsApplied."""

    kind: StepKind
    after: float | None
    code: str = ""
    number: int = 0


@attrs.frozen
class UpdateFault:
    """Faults of one kind of update: first the delay, then what comes instead of its acknowledgement."""

    delay: float = 0.0
    instead: Literal["", "no ack", "refuse update", "drop at update"] = ""


@attrs.frozen
class ConnectionFaults:
    """Faults of one Deepgram connection."""

    refuse: int | None = None
    """HTTP status at the upgrade."""
    upgraded: bool = True
    welcomed: bool = True
    settings_delay: float = 0.0
    think_delay: float = 0.0
    tts_delay: float = 0.0
    drip: bool = False
    cancels_after: float | None = None
    """The first function call that is open for so long is cancelled, whether its function is deferred or not."""
    steps: tuple[Step, ...] = ()
    """In order of time, those in place of SettingsApplied first."""
    updates: Mapping[str, UpdateFault] = attrs.field(factory=dict[str, UpdateFault])
    """By the kind of update: think, speak, prompt or listen."""


@attrs.frozen
class TwilioFaults:
    """Faults of every media stream."""

    jitter: float = 0.0
    """Seconds."""
    stop_without_close: bool = False
    close_without_stop: bool = False
    stalled_reader_after: float | None = None
    no_media_after: float | None = None
    duplicate_start: bool = False
    bad_frames: int = 0
    line: LineFaults = attrs.field(factory=LineFaults)


@attrs.frozen
class RequestFaults:
    """Faults of one Groq request: first the delay, then the answer."""

    delay: float = 0.0
    answer: GroqAnswer | None = None


def _in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(faults)


@attrs.define
class FaultPlan:
    """The faults of one run, asked by each simulator for its own."""

    faults: tuple[Fault, ...] = attrs.field(default=(), converter=_in_order)
    requests: int = attrs.field(default=0, init=False)

    def of(self, target: Target) -> tuple[Fault, ...]:
        """Return one service's faults, in the order they were written."""
        return tuple(fault for fault in self.faults if fault.target == target)

    def for_connection(self, nth: int) -> ConnectionFaults:
        """Return what is wrong with the nth Deepgram connection, counted from 1."""
        hits = [fault for fault in self.of("deepgram") if fault.hits(nth)]
        refusals = [fault.number for fault in hits if fault.kind == "refuse connect"]
        steps = [
            Step(cast("StepKind", fault.kind), fault.after, code=fault.code, number=fault.number)
            for fault in hits
            if fault.kind in _STEPS
        ]
        return ConnectionFaults(
            refuse=refusals[0] if refusals else None,
            upgraded=all(fault.kind != "no upgrade" for fault in hits),
            welcomed=all(fault.kind != "no welcome" for fault in hits),
            settings_delay=_delay(hits, "slow settings"),
            think_delay=_delay(hits, "slow think"),
            tts_delay=_delay(hits, "slow tts"),
            drip=any(fault.kind == "drip" for fault in hits),
            cancels_after=min((fault.seconds for fault in hits if fault.kind == "cancel call"), default=None),
            steps=tuple(sorted(steps, key=lambda step: -1.0 if step.after is None else step.after)),
            updates=_updates(hits),
        )

    @property
    def twilio(self) -> TwilioFaults:
        """Faults of the media streams."""
        faults = {fault.kind: fault for fault in self.of("twilio")}
        stalled, mute = faults.get("stalled reader"), faults.get("no media")
        bad = faults.get("bad frames")
        return TwilioFaults(
            jitter=_delay(faults.values(), "jitter"),
            stop_without_close="stop without close" in faults,
            close_without_stop="close without stop" in faults,
            stalled_reader_after=None if stalled is None else stalled.after or 0.0,
            no_media_after=None if mute is None else mute.after or 0.0,
            duplicate_start="duplicate start" in faults,
            bad_frames=0 if bad is None else bad.number,
            line=self._line,
        )

    @property
    def _line(self) -> LineFaults:
        """Faults of the sound of every line."""
        faults = self.of("line")
        numbers = {fault.kind: float(fault.number) for fault in faults}
        return LineFaults(
            loss=numbers.get("loss", 0.0) / 100,
            noise=numbers.get("noise"),
            clipping=numbers.get("clipping"),
            echo=numbers.get("echo"),
            coughs=tuple(fault.after or 0.0 for fault in faults if fault.kind == "cough"),
            others=tuple(fault.after or 0.0 for fault in faults if fault.kind == "two people"),
        )

    def groq(self) -> RequestFaults:
        """Count one more Groq request and return what is wrong with it."""
        self.requests += 1
        return self.for_request(self.requests)

    def for_request(self, nth: int) -> RequestFaults:
        """Return what is wrong with the nth Groq request, counted from 1."""
        hits = [fault for fault in self.of("groq") if fault.hits(nth)]
        answers: list[GroqAnswer] = [cast("GroqAnswer", fault.kind) for fault in hits if fault.kind != "slow"]
        return RequestFaults(delay=_delay(hits, "slow"), answer=answers[0] if answers else None)


_INSTEAD: Final = ("no ack", "refuse update", "drop at update")
_STEPS: Final = frozenset({"drop", "silent drop", "stall", "mute", "garbage", "odd messages", "error", "close"})


def _delay(faults: Iterable[Fault], kind: Kind) -> float:
    return sum(fault.seconds for fault in faults if fault.kind == kind)


def _updates(hits: Iterable[Fault]) -> dict[str, UpdateFault]:
    updates: dict[str, UpdateFault] = {}
    for fault in hits:
        known = updates.get(fault.code, UpdateFault())
        if fault.kind == "slow ack":
            updates[fault.code] = attrs.evolve(known, delay=known.delay + fault.seconds)
        elif fault.kind in _INSTEAD:
            updates[fault.code] = attrs.evolve(known, instead=fault.kind)
    return updates
