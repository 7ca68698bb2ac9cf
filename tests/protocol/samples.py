"""One of every Voice Agent message, as small as it can be without being empty."""

from collections.abc import Mapping, Sequence

import attrs

from protocol import deepgram
from protocol.deepgram import (
    TELEPHONE,
    AgentAudio,
    AgentSettings,
    Audio,
    CallerAudio,
    CancelledCall,
    ClientMessage,
    Context,
    FunctionCall,
    FunctionDefinition,
    HistoryCalls,
    HistoryText,
    ServerMessage,
    Settings,
    Think,
    listen_with,
    speak_with,
    think_with,
)


def settings(
    *,
    prompt: str = "You are Alex.",
    listen_model: str = "flux-general-en",
    voice: str = "aura-2-mars-en",
    think: Think | None = None,
    functions: Sequence[FunctionDefinition] = (),
    greeting: str | None = "Hello.",
    context: Sequence[HistoryText | HistoryCalls] = (),
    tags: Sequence[str] = (),
) -> Settings:
    """Order a session for a telephone call."""
    model = think or think_with("open_ai", "gpt-5.4-mini")
    agent = AgentSettings(
        context=Context(tuple(context)) if context else None,
        listen=listen_with(listen_model),
        think=(attrs.evolve(model, prompt=prompt, functions=tuple(functions)),),
        speak=(speak_with(voice),),
        greeting=greeting,
    )
    return Settings(TELEPHONE, agent, tuple(tags))


SETTINGS = settings()
THINK = SETTINGS.agent.think[0] if isinstance(SETTINGS.agent, AgentSettings) else None
assert THINK is not None

REQUESTS: Mapping[type[ClientMessage], ClientMessage] = {
    type(message): message
    for message in (
        SETTINGS,
        CallerAudio(b"\xff" * 160),
        deepgram.KeepAlive(),
        deepgram.InjectUserMessage("hello"),
        deepgram.InjectAgentMessage("One moment.", "interrupt"),
        deepgram.FunctionCallResponse("call_1", "ping", "{}"),
        deepgram.UpdateThink((THINK,)),
        deepgram.UpdateSpeak((speak_with("flux-kit-en"),)),
        deepgram.ForceEndTurn(),
    )
}

REPORTS: Mapping[type[ServerMessage], ServerMessage] = {
    type(message): message
    for message in (
        deepgram.Welcome("6f1c2a90"),
        deepgram.SettingsApplied(),
        deepgram.ConversationText("user", "hola amigo", languages=("es", "en"), languages_hinted=("en", "es")),
        deepgram.UserStartedSpeaking(),
        deepgram.EndOfTurn("model"),
        deepgram.AgentThinking("hm"),
        deepgram.FunctionCallRequest(
            (FunctionCall("call_1", "ping", "{}", True), FunctionCall("2", "p", "x", False, "s"))
        ),
        deepgram.FunctionCallCancelled((CancelledCall("call_1", "ping"),)),
        AgentAudio(b"\x7f" * 160),
        deepgram.AgentAudioDone(),
        deepgram.LatencyReport(tts_latency=0.5),
        deepgram.ThinkUpdated(),
        deepgram.SpeakUpdated(),
        deepgram.InjectionRefused("Agent is speaking"),
        deepgram.ErrorReported("FAILED_TO_THINK", "think failed"),
        deepgram.ServiceWarning("SLOW_THINK_REQUEST", "We have now waited 5 seconds for a think response."),
        deepgram.UnknownMessage("Novelty", {"type": "Novelty", "n": 1}),
    )
}

SMALLEST = deepgram.Settings(Audio(), AgentSettings())
