"""Behaviour of the simulated Deepgram: its delays and faults, as numbers and switches.

`DeepgramKnobs` is frozen and holds no state. Every default is what the hosted service was seen to do
in 2026; every other value is something a client must survive.
"""

from typing import TypeAlias

import attrs
from attrs.validators import ge, gt, in_, le, optional

Seconds: TypeAlias = float


@attrs.frozen(kw_only=True)
class DeepgramKnobs:
    """The behaviour of one simulated Voice Agent service."""

    upgrade: Seconds = attrs.field(default=0.0, validator=ge(0))
    """Before the WebSocket is open (in memory only; a real socket takes its own time)."""
    welcome: Seconds = attrs.field(default=0.005, validator=ge(0))
    settings_applied: Seconds = attrs.field(default=0.160, validator=ge(0))
    greeting: Seconds = attrs.field(default=0.100, validator=ge(0))
    """From `SettingsApplied` to the first frame of the greeting."""
    end_of_turn: Seconds = attrs.field(default=0.300, validator=gt(0))
    """Silence, counted in received audio, that ends a user's turn."""
    think: Seconds = attrs.field(default=0.400, validator=ge(0))
    tts: Seconds = attrs.field(default=0.100, validator=ge(0))
    """From text handed to the synthesiser to its first audio frame."""
    update_ack: Seconds = attrs.field(default=0.220, validator=ge(0))
    """`PromptUpdated`, `ThinkUpdated` and `SpeakUpdated`."""

    speed: float = attrs.field(default=2.0, validator=gt(0))
    """Agent audio is sent this many times faster than it plays."""
    slice_ms: int = attrs.field(default=20, validator=ge(1))
    """Length of one binary audio message."""

    idle_timeout: Seconds = attrs.field(default=10.0, validator=ge(0))
    """`CLIENT_MESSAGE_TIMEOUT` after so long without a message (sources say 8 to 60); not without `listen`."""
    keep_alive_counts: bool = True
    """False: only audio holds the idle timeout off (github deepgram-js-sdk issue 419)."""
    session_warning: Seconds = attrs.field(default=6900.0, validator=ge(0))
    session_limit: Seconds = attrs.field(default=7200.0, validator=ge(0))

    any_flux_version: bool = False
    """A Flux recogniser need not be asked for as `version: v2`, as old clients do not."""
    strict_start: bool = False
    """True: `Settings` before `Welcome`, and anything before `SettingsApplied`, is an error."""
    sends_end_of_turn: bool = True
    """`EndOfTurn` after the user's text, in Flux sessions only."""
    sends_agent_thinking: bool = False
    sends_latency_reports: bool = True
    stt_reports_per_second: float = attrs.field(default=0.0, validator=ge(0))
    """The flood of `LatencyReport{stt_latency}` per second of received audio (live: 4 to 12)."""
    text_first: bool | None = False
    """False: a sentence's first audio frame precedes its text; None: either, by the seed."""

    barge_in_audio_done: bool = True
    """`AgentAudioDone` right after the `UserStartedSpeaking` that cut a reply off."""
    late_frames: int = attrs.field(default=0, validator=[ge(0), le(5)])
    """Audio messages of a cancelled reply that still arrive."""
    late_sentence: bool = False
    """The text of the sentence after the one cut off still arrives."""

    speculative_pause: Seconds | None = attrs.field(default=None, validator=optional(gt(0)))
    """Think, and call functions, after this much silence already, before the turn is confirmed."""
    barge_in_cancels_calls: bool = True
    """`FunctionCallCancelled` for open calls when the user speaks."""
    cancels_deferred_calls: bool = False
    """Those of `defer_until_eot` functions too: the manual (voice-agent-function-call-cancelled) makes no exception."""
    cancel_after: Seconds = attrs.field(default=0.0, validator=ge(0))
    """From `UserStartedSpeaking` to `FunctionCallCancelled`; calls that are answered in between are not cancelled."""
    think_keeps_history: bool = True
    """The conversation survives `UpdateThink`; the manual does not say. False: open calls are forgotten with it."""
    takes_force_end_turn: bool = True
    """False: an older deployment, which ends the session over a `ForceEndTurn` (the Java SDK's migration notes)."""
    echoes_function_responses: bool = True
    answers_replayed_user: bool = True
    """History that ends with the user's words is answered at once."""
    injection_refusal: str | None = "Agent is speaking"
    """`InjectionRefused.message`; None sends only the `INJECT_AGENT_MESSAGE_DURING_…` warning."""

    retired: frozenset[str] = frozenset()
    """LLMs that are gone: not listed any more, and settings that name one are refused."""
    think_failures: int = attrs.field(default=0, validator=ge(0))
    """Entries of `agent.think` that fail in every turn: warnings, then `FAILED_TO_THINK`."""
    speak_failures: int = attrs.field(default=0, validator=ge(0))
    """Entries of `agent.speak` that fail in every turn: warnings, then `FAILED_TO_SPEAK`."""
    close_code: int = attrs.field(default=1000, validator=in_((1000, 1001, 1005, 1006, 1008, 1011)))
    """How the socket closes after an `Error`; 1006 drops the TCP connection instead."""

    seed: int = 0
    unknown_messages: float = attrs.field(default=0.0, validator=[ge(0.0), le(1.0)])
    """Chance that a message of an unknown type precedes a message."""
    extra_fields: float = attrs.field(default=0.0, validator=[ge(0.0), le(1.0)])
    """Chance that a message carries a field nobody knows."""
