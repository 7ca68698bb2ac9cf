"""The deadlines, the words and the numbers of one call: how long it waits for what, what it says, how often it tries.

One frozen value for a call, which every actor and the turn read. `docs/supervision.md` adds up the silence that a
caller can meet. Seconds throughout.
"""

import math
from enum import Enum

import attrs

_LITTLE = 0.035
"""Seconds of audio left to hear, below which every piece is waited for …"""
_SCARCE = 0.1
"""… and below which the caller has no lead."""
_SPARE = 0.02
"""Seconds for which a read may be late: by two ticks."""
LONGEST_ANSWER = 12
"""Words. A greeting that was recorded is longer; so may an answer be, and then it is no proof."""
_MOST_WISHES = 3
"""How often a caller presses the key for a person in one go; more of the same digit may be a code."""
_START = 1.0
"""Seconds from a caller's sound to the service's word that they speak, at the latest."""


class SummaryMode(Enum):
    """When the Summarizer asks for a Brief."""

    EAGER = "eager"
    """Ahead of time, when the caller has said something new, so that at a handoff only the last words are missing."""
    ON_HANDOFF = "on_handoff"
    """Once, when the handoff is asked for."""


class OnMachine(Enum):
    """The reaction to an answering machine that picks up."""

    OFF = "off"
    """Answering machines are not detected."""
    HANG_UP = "hang_up"
    VOICEMAIL = "voicemail"


@attrs.frozen
class RestartPolicy:
    """At most `intensity` restarts of an agent within `period` seconds, each after a full-jitter delay.

    And at most `total` restarts within `total_period` seconds of all agents of a call together.
    """

    intensity: int = 2
    period: float = 10.0
    total: int = 6
    total_period: float = 300.0
    first_delay: float = 0.1
    longest_delay: float = 2.0


@attrs.frozen
class Deadlines:
    """How long a call waits for what.

    Raises: `ValueError` for a `silence_budget` that would leave a caller in silence.
    """

    # The service
    session_start: float = 5.0
    """From connecting to SettingsApplied, for the first session and for a restart."""
    handoff_start: float = 4.0
    """From connecting to SettingsApplied, for each attempt to start the next agent of a handoff."""
    soft_step: float = 1.0
    """For each step of a soft handoff: the service is quiet, and acknowledges an update."""
    busy_patience: float = 4.0
    """For a place at the service, when it has none (HTTP 429) …"""
    busy_retry: float = 0.5
    """… asking again after so long."""
    keep_alive: float = 4.0
    """Between KeepAlives. Deepgram closes after about 10 s without a message (its reference, section 7)."""
    send_stall: float = 5.0
    """For one message to leave for Deepgram; a peer that stops reading is a crashed session."""
    think_patience: float = 20.0
    """For an answer of a session that gives signs of life (THINK_PATIENCE)."""
    audio_done_grace: float = 1.5
    """For AgentAudioDone, after the last audio was played."""
    latest_transcript: float = 5.0
    """For a transcript after the last voice: Flux ends a turn by then (`eot_timeout_ms`) …"""
    false_start: float = 2.5
    """… and where a reply was cut or an answer is owed."""
    echo: float = 4.0
    """For what the service was told as the caller's words to come back as their turn."""

    # The Brief
    summary: float = 3.0
    """For the Brief, at a handoff or a transfer (SUMMARY_DEADLINE)."""
    brief_gap: float = 10.0
    """Between two Briefs for the same agent, at least."""

    # The caller's silence, and the agents'
    silence_budget: float = 4.0
    """The longest silence a caller meets when it is the agents' turn (SILENCE_BUDGET)."""
    filler_lead: float = 1.0
    """The agent is asked for a filler this much earlier; what it has not begun by then a clip says."""
    caller_silence: float = 10.0
    """The longest silence of the caller's when it is their turn (CALLER_SILENCE); infinite: for ever."""
    shortest_word: float = 0.4
    """Of voice on the caller's line: anything shorter may be a noise, about which the service rightly says nothing."""
    silent_service: float = 2.0
    """Without a word of a service behind a sound of the caller's, or the answer to a ping: then it is gone."""
    longest_turn: float = 60.0
    """Of the caller, on a line that stays loud: then they are asked whether they are there."""
    remind_after: float = 1.5
    """In a pause, for the function that was announced: a model calls it with its words. The caller waits already."""
    remark_within: float = 10.0
    """A remark waits no longer for a pause."""
    digit_pause: float = 2.5
    """After a key, for the next one of the same entry."""

    # The line
    stride: float = 0.08
    """The most that agent audio may gather before it is read, twice that while the caller is silent; so long what the
    service says with it may wait, too. When the caller's line has just begun to carry voice, it is 20 ms."""
    hold: float = 0.02
    """The most that a piece of agent audio waits for the next one where it comes no faster than it is spoken."""
    starved: float = 2.0
    """For the caller's audio, before silence stands in for it."""
    dead_line: float = 10.0
    """For the next frame of the caller's, for the line to take what it is sent, and for a mark to come back."""
    machine_quiet: float = 2.5
    """Of a machine's line, before its greeting is taken to be over, where Twilio does not say so …"""
    machine_breath: float = 1.0
    """… and where its greeting has been heard: between two sentences of it."""
    first_word: float = 10.0
    """For the first word of somebody Twilio takes for a machine, whose line is silent."""
    machine_greeting: float = 30.0
    """The longest greeting that is waited for."""

    # An operator's commands
    amended: float = 15.0
    """For the service to acknowledge a changed prompt, or for a session that has it to take the floor."""
    restarted: float = 30.0
    """For another session to take the floor."""
    remark_begun: float = 45.0
    """For a sentence to begin: it waits for a pause, may be refused while the caller speaks, and outlives a session."""

    # The end
    goodbye_onset: float = 1.0
    """For a goodbye to begin, or go on after what was played; and for the service to say that it has heard a sound."""
    goodbye_audio: float = 8.0
    """From the end of the conversation until the service has sent the whole goodbye; longer while it keeps coming."""
    goodbye_grace: float = 2.0
    """Beyond the audio that is left to play, for its mark to come back, or for a caller's voice to end."""
    late_voice: float = 0.3
    """After the last words were played: to notice the voice of a caller who began to speak before their end."""
    farewell_noise: float = 5.0
    """For a line to become quiet behind the agent's goodbye, where the service hears nobody."""
    closing: float = 5.0
    """For the last sentence of a call that the switchboard ends to begin; past it, Twilio says it."""
    hang_up: float = 3.0
    """For Twilio's REST API to end the call, or to take the apology."""
    put_through: float = 5.0
    """For Twilio's REST API to take a transfer to a person, and for the stream to end."""
    last_word: float = 3.0
    """For what an agent has said to be played, before Twilio says the apology."""
    parting_words: float = 1.0
    """For the transcript of what a caller has said who hangs up at once."""
    settle: float = 2.0
    """For the call record and the recording to be written; shielded."""
    longest_call: float = math.inf
    """For the conversation (MAX_CALL_SECONDS); infinite: for ever."""
    length_notice: float = 60.0
    """The caller is warned this much before."""

    def __attrs_post_init__(self) -> None:
        if not self.filler_lead < self.silence_budget < math.inf:
            raise ValueError("silence_budget: must be finite, and longer than filler_lead")

    @property
    def beep(self) -> float:
        """For the beep of an answering machine."""
        return 2 * self.machine_greeting

    @property
    def transfer(self) -> float:
        """For the line to put a caller through, or to say that it cannot: the Brief is waited for as well."""
        return self.summary + self.put_through + 1.0

    @property
    def longest_closing(self) -> float:
        """For a call that is told to close to be over, whatever fails."""
        return self.closing + 2 * self.goodbye_onset + self.goodbye_audio + self.goodbye_grace + self.hang_up

    def stride_for(self, lead: float, since_voice: float) -> float:
        """Return how long agent audio may gather while the caller has so much left to hear: about half of it.

        The caller's line carried voice `since_voice` seconds ago. While the service may be about to say that they
        speak, it is `stride` at the most; else twice that. With little left, audio is read as it comes.
        """
        if lead < _LITTLE:
            return 0.0
        return min(self.stride if since_voice < _START else 2 * self.stride, (lead - _SPARE) / 2)

    def hold_for(self, lead: float, piece: float, late: float = 0.0) -> float:
        """Return how long audio may gather that flows on and on, in pieces of so many seconds, and leaves no lead.

        What comes within `hold` seconds of a piece comes with it: this is what it adds to what the caller hears. `late`
        seconds ago the last one should have come, from which they are counted.
        """
        is_due = piece > self.hold or lead >= _SCARCE or late >= self.hold + piece
        return 0.0 if is_due else self.hold + piece - late


@attrs.frozen
class Wording:
    """The sentences that the switchboard tells an LLM, or an answering machine, of its own accord."""

    voicemail: str = ""
    """The message for an answering machine; empty hangs up on it."""

    # To the LLM
    ask_goodbye: str = (
        '{"ok": true, "next": "Say goodbye now, in one short sentence. The call ends when you have said it."}'
    )
    """To an agent that has ended the conversation without a word."""
    reopened: str = (
        '{"ended": false, "next": "The caller has spoken again. Answer, say goodbye, and end the conversation again."}'
    )
    taken_back: str = (
        '{"error": "The caller has spoken again. Answer them, and put them through only if they still want it."}'
    )
    refused: str = '{"error": "Something else is under way already. If it fails, go on with the caller."}'
    go_on: str = "(You were interrupted. Go on where you stopped.)"
    reminder: str = "(You have announced {function} and have not called it. Call it now, or tell the caller why not.)"
    reminder_of_wait: str = "(You have asked the caller to wait, and nothing follows. Do it now, or answer them.)"
    handed_over: str = (
        '{{"handed_off_to": "{agent}", "next": "You are this agent now. Your greeting is being said: say no more."}}'
    )
    """The session goes on as another agent's."""
    has_call: str = "You have the call already: go on yourself."
    """Of a handoff, as the following ones are."""
    no_agent: str = "There is no agent {to!r}."
    unreachable: str = "The {to} cannot be reached. Tell the customer, and go on yourself."
    under_way: str = "A handoff is under way already."
    session_lost: str = "The session that was to hand over was lost, and no other agent came."
    unanswered: str = "Nobody could be reached: the line does not answer. Tell the caller, and go on yourself."
    """Of a transfer, as the following ones are."""
    not_put_through: str = (
        "Nobody could be reached: the line did not put the call through. Tell the customer, and go on yourself."
    )
    nobody: str = "There is no person who could be reached. Tell the customer, and go on yourself."


@attrs.frozen
class Numbers:
    handoff_attempts: int = 2
    brief_words: int = 20
    """New words of the caller that are worth another Brief ahead of time; the first one is asked for at once."""
    functions_per_turn: int = 8
    """Function calls of the LLM between two turns of the caller; beyond them it is told to speak, then restarted."""
    chunk_frames: int = 4
    """20 ms frames of caller audio in one message to Deepgram: Flux likes 80 ms."""
    replay_rate: float = 4.0
    """How many times real time a backlog of caller audio is sent."""
    silent_asks: int = 2
    """How often a silent caller is asked before the call ends."""
    reopenings: int = 2
    """How often a caller's words take back a goodbye; the same for a transfer, and for the end of a silent call."""
    loops: int = 5
    """How often a turn that is longer than an answer is heard, word by word, before its recording is hung up on."""
    slowest_speech: float = 10.0
    """Characters a second."""
    most_keys: int = 64
    """Waiting to be told at once: nobody types more than that in the time of a handoff."""


@attrs.frozen
class CallPolicy:
    deadlines: Deadlines = attrs.field(factory=Deadlines)
    wording: Wording = attrs.field(factory=Wording)
    numbers: Numbers = attrs.field(factory=Numbers)
    restarts: RestartPolicy = attrs.field(factory=RestartPolicy)
    summary_mode: SummaryMode = SummaryMode.EAGER
    keep_digits: bool = False
    """Whether journal and record say which keys were pressed (KEEP_DIGITS)."""
    human_digit: str = ""
    """The key that asks for a person, if any (HUMAN_DIGIT)."""
    our_number: str = ""
    """The number that a person we dial is shown."""
    fallback_number: str = ""
    """The number for calls that no agent can carry on; empty hangs up."""


def wants_person(keys: str, human_digit: str) -> bool:
    """Say whether these are the key for a person, which an impatient caller presses again."""
    return set(keys) == set(human_digit) != set() and len(keys) <= _MOST_WISHES


_PRESSED = "The caller pressed"


def describe_keys(entries: tuple[str, ...], human_digit: str = "") -> str:
    """Write for an agent what the caller has pressed."""
    if wants_person("".join(entries), human_digit):
        return f"{_PRESSED} {human_digit} on the keypad: they want to speak to a person."
    return f"{_PRESSED} {', then '.join(' '.join(entry) for entry in entries)} on the keypad."


def is_of_keys(text: str) -> bool:
    """Whether it is what `describe_keys` has written, and no words of the caller's."""
    return text.startswith(_PRESSED)
