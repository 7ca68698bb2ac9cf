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

import math
from typing import Final

import attrs

from simulators.fault_lines import FOREVER, FORMS, Fault, FaultError, Kind, Target, parse_fault, parse_faults

__all__ = ["FOREVER", "FORMS", "STEPS", "Fault", "FaultError", "FaultPlan", "Faults", "parse_fault", "parse_faults"]

STEPS: Final[tuple[Kind, ...]] = ("drop", "silent drop", "stall", "mute", "garbage", "odd messages", "error", "close")
"""Faults that happen once to a Deepgram connection, at some moment; those without one in place of SettingsApplied."""


@attrs.frozen
class Faults:
    """The faults of one connection, stream or request, asked by kind."""

    every: tuple[Fault, ...] = ()

    def of(self, *kinds: Kind) -> tuple[Fault, ...]:
        """Return those of some kinds, in the order they were written."""
        return tuple(fault for fault in self.every if fault.kind in kinds)

    def has(self, kind: Kind) -> bool:
        return bool(self.of(kind))

    def number(self, kind: Kind) -> int:
        """Return the number that the first of a kind has; 0 where there is none."""
        return next((fault.number for fault in self.of(kind)), 0)

    def seconds(self, kind: Kind) -> float:
        """Return how long those of a kind last together."""
        return sum(fault.seconds for fault in self.of(kind))

    def begin(self, kind: Kind) -> float:
        """Return after how many seconds the first of a kind begins; infinity where there is none."""
        return min((fault.after or 0.0 for fault in self.of(kind)), default=math.inf)


@attrs.define
class FaultPlan:
    """The faults of one run, asked by each simulator for its own."""

    faults: tuple[Fault, ...] = ()
    requests: int = attrs.field(default=0, init=False)

    def of(self, *targets: Target) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.target in targets)

    def for_connection(self, nth: int) -> Faults:
        """Return what is wrong with the nth Deepgram connection, counted from 1."""
        return Faults(tuple(fault for fault in self.of("deepgram") if fault.hits(nth)))

    @property
    def twilio(self) -> Faults:
        """The faults of every media stream, and of the sound on it."""
        return Faults(self.of("twilio", "line"))

    def groq(self) -> Faults:
        """Count one more Groq request and return what is wrong with it."""
        self.requests += 1
        return self.for_request(self.requests)

    def for_request(self, nth: int) -> Faults:
        """Return what is wrong with the nth Groq request, counted from 1."""
        return Faults(tuple(fault for fault in self.of("groq") if fault.hits(nth)))
