"""How long this switchboard waits for what, and how often it tries again. Seconds throughout.

One frozen value for a call; every deadline in `actors/` is one of these. Their sum is the silence a caller can meet:
`docs/supervision.md` adds it up.
"""

import math
from enum import Enum

import attrs

from actors.supervision import RestartPolicy
from actors.turn.values import TurnPolicy


class SummaryMode(Enum):
    """When the Summarizer asks for a Brief."""

    EAGER = "eager"
    """Ahead of time, when the caller has said something new, so that at a handoff only the last words are missing."""
    ON_HANDOFF = "on_handoff"
    """Once, when the handoff is asked for."""


_SCARCE = 0.1
"""Seconds of audio left to hear, below which every piece is waited for."""


@attrs.frozen
class CallPolicy:
    """The deadlines and budgets of one call."""

    session_start: float = 5.0
    """From connecting to SettingsApplied, for the first session and for a restart."""
    handoff_start: float = 4.0
    """The same for the next agent of a handoff, each attempt."""
    handoff_attempts: int = 2
    restarts: RestartPolicy = attrs.field(factory=RestartPolicy)
    summary_mode: SummaryMode = SummaryMode.EAGER
    summary_deadline: float = 3.0
    brief_words: int = 10
    """New words of the caller that are worth another Brief ahead of time; the first one is asked for at once."""
    brief_gap: float = 6.0
    """Between two Briefs for the same agent, at least."""
    goodbye_onset: float = 1.0
    """For a goodbye to begin, when the function call has overtaken its audio."""
    goodbye_audio: float = 8.0
    """From the end of the conversation until the service has sent the whole goodbye; longer while it keeps coming."""
    goodbye_grace: float = 2.0
    """Beyond the audio that is left to play, for its mark to come back."""
    hang_up: float = 3.0
    """For Twilio's REST API to end the call, or to take the apology."""
    settle: float = 2.0
    """For the call record and the recording to be written; shielded."""
    keep_alive: float = 4.0
    """Between KeepAlives. Deepgram closes after about 10 s without a message (its reference, section 7)."""
    busy_patience: float = 4.0
    """For a place at the service, when it has none (HTTP 429) …"""
    busy_retry: float = 0.5
    """… asking again after so long."""
    functions_per_turn: int = 8
    """Function calls of the model between two turns of the caller; beyond them it is told to speak, then restarted."""
    silence_budget: float = 4.0
    """The longest silence a caller meets when it is the agents' turn (SILENCE_BUDGET)."""
    filler_lead: float = 1.0
    """The agent is asked for a filler this much earlier; what it has not begun by then a clip says."""
    filler: str = "One moment, please."
    """The words that the caller hears first in such a silence; clips say nothing else."""
    more_fillers: tuple[str, ...] = ("I am still looking.", "Just a little longer, please.")
    """Then, one after the other."""
    think_patience: float = 20.0
    """For an answer of a session that gives signs of life (THINK_PATIENCE)."""
    send_stall: float = 5.0
    """For one message to leave for Deepgram; a peer that stops reading is a crashed session."""
    chunk_frames: int = 4
    """20 ms frames of caller audio in one message to Deepgram: Flux likes 80 ms."""
    replay_rate: float = 4.0
    """How many times real time a backlog of caller audio is sent."""
    stride: float = 0.08
    """The most that agent audio may gather before it is read; so long what the service says with it may wait, too."""
    hold: float = 0.02
    """The most that a piece of agent audio waits for the next one where it comes no faster than it is spoken."""
    apology: str = "I am sorry, we are having technical difficulties. Someone will call you back soon. Goodbye."
    closing: float = 5.0
    """For the last sentence of a call that the switchboard ends to begin; past it, Twilio says it."""
    caller_silence: float = 10.0
    """The longest silence of the caller's when it is their turn (CALLER_SILENCE); infinite: for ever."""
    silent_asks: int = 2
    """How often they are asked before the call ends."""
    still_there: str = "Are you still there?"
    silent_goodbye: str = "I cannot hear you, so I will end the call here. Please call us again. Goodbye."
    longest_call: float = math.inf
    """For the conversation (MAX_CALL_SECONDS); infinite: for ever."""
    length_notice: float = 60.0
    """The caller is warned this much before."""
    length_warning: str = "I should tell you that we have about one minute left on this call."
    length_goodbye: str = "I am sorry, our time on this call is over. Please call us again. Goodbye."
    digit_pause: float = 2.5
    """After a key, for the next one of the same entry."""
    keep_digits: bool = False
    """Whether journal and record say which keys were pressed (KEEP_DIGITS)."""
    human_digit: str = ""
    """The key that asks for a person, if any (HUMAN_DIGIT)."""
    putting_through: str = "One moment, I will put you through."
    """The words they hear then, where there is a person."""
    machine_quiet: float = 2.5
    """Of a machine's line, before its greeting is taken to be over, where Twilio does not say so."""
    machine_greeting: float = 30.0
    """The longest greeting that is waited for."""
    voicemail: str = ""
    """The message for an answering machine; empty hangs up on it."""
    closing_sentence: str = "I am sorry, we have to end this call now. Please call us again. Goodbye."
    dead_line: float = 10.0
    """For the next frame of the caller's, for the line to take what it is sent, and for a mark to come back."""
    put_through: float = 5.0
    """For Twilio's REST API to take a transfer to a person, and for the stream to end."""
    unreached: str = "I am sorry, nobody could take the call just now. Shall I have somebody call you back?"
    """The words of an agent that takes a caller back."""
    reconnected: str = "I am sorry, I lost you for a moment. Where were we?"
    our_number: str = ""
    """The number that a person we dial is shown."""
    fallback_number: str = ""
    """The number for calls that no agent can carry on; empty hangs up."""

    @property
    def fillers(self) -> tuple[str, ...]:
        """The words for a silence, in this order, again and again."""
        return (self.filler, *self.more_fillers)

    @property
    def for_turn(self) -> TurnPolicy:
        """The part of it that turn-taking is decided by."""
        return TurnPolicy(
            silence_budget=self.silence_budget,
            filler_lead=self.filler_lead,
            think_patience=self.think_patience,
            caller_silence=self.caller_silence,
            silent_asks=self.silent_asks,
            goodbye_onset=self.goodbye_onset,
            goodbye_audio=self.goodbye_audio,
            goodbye_grace=self.goodbye_grace,
            closing_within=self.closing,
            beep_within=2 * self.machine_greeting,
            digit_pause=self.digit_pause,
            put_through=self.summary_deadline + self.put_through + 1.0,
            human_digit=self.human_digit,
            fillers=self.fillers,
            still_there=self.still_there,
            silent_goodbye=self.silent_goodbye,
            putting_through=self.putting_through,
        )

    @property
    def longest_closing(self) -> float:
        """For a call that is told to close to be over, whatever fails."""
        return self.closing + 2 * self.goodbye_onset + self.goodbye_audio + self.goodbye_grace + self.hang_up

    def stride_for(self, unplayed: float, piece: float = math.inf) -> float:
        """Return how long agent audio may gather while the caller has so much left to hear: a quarter of it.

        With nothing left it is read as it comes, unless it flows on and on in pieces of so many seconds. Then what
        comes within `hold` seconds of a piece comes with it: this is what it adds to what the caller hears.
        """
        if unplayed >= _SCARCE:
            return min(self.stride, unplayed / 4)
        return self.hold + piece if piece <= self.hold else 0.0
