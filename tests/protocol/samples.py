"""One of every Voice Agent message, as small as it can be without being empty."""

from collections.abc import Mapping

from protocol import deepgram
from protocol.deepgram import (
    AgentAudio,
    AgentSettings,
    Audio,
    CallerAudio,
    CancelledCall,
    ClientMessage,
    CompletedCall,
    FunctionCall,
    HistoryCalls,
    HistoryText,
    ServerMessage,
    ThinkLive,
    ThinkLiveProvider,
    build_settings,
    listen_with,
    speak_with,
    think_with,
)

SETTINGS = build_settings(
    prompt="You are Alex.",
    listen=listen_with("flux-general-en"),
    think=[think_with("open_ai", "gpt-5.4-mini")],
    speak=[speak_with("aura-2-mars-en")],
    functions=(),
    greeting="Hello.",
)
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
        deepgram.UpdatePrompt("Be brief."),
        deepgram.UpdateThink((THINK,)),
        deepgram.UpdateSpeak((speak_with("flux-kit-en"),)),
        deepgram.UpdateListen(listen_with("nova-3")),
        deepgram.UpdateThinkLive(ThinkLive(ThinkLiveProvider("deepgram", "v1", restricted_terms=("refund",)))),
        deepgram.ForceEndTurn(),
        deepgram.CustomToThinkProvider({"any": [1, None]}),
    )
}

REPORTS: Mapping[type[ServerMessage], ServerMessage] = {
    type(message): message
    for message in (
        deepgram.Welcome("6f1c2a90"),
        deepgram.SettingsApplied(),
        deepgram.ConversationText("user", "hola amigo", languages=("es", "en"), languages_hinted=("en", "es")),
        HistoryText("assistant", "Hello."),
        HistoryCalls((CompletedCall("call_1", "ping", True, "{}", "pong", "sig"),)),
        deepgram.UserStartedSpeaking(),
        deepgram.EndOfTurn("model"),
        deepgram.AgentThinking("hm"),
        deepgram.FunctionCallRequest(
            (FunctionCall("call_1", "ping", "{}", True), FunctionCall("2", "p", "x", False, "s"))
        ),
        deepgram.FunctionCallResponse("call_1", "ping", "pong"),
        deepgram.FunctionCallCancelled((CancelledCall("call_1", "ping"),)),
        AgentAudio(b"\x7f" * 160),
        deepgram.AgentStartedSpeaking(1.25, 0.5, 0.25),
        deepgram.AgentAudioDone(),
        deepgram.LatencyReport(tts_latency=0.5),
        deepgram.PromptUpdated(),
        deepgram.ThinkUpdated(),
        deepgram.SpeakUpdated(),
        deepgram.ListenUpdated(),
        deepgram.ThinkLiveUpdated(),
        deepgram.InjectionRefused("Agent is speaking"),
        deepgram.FrustrationDetected(2, True),
        deepgram.CustomFromThinkProvider(None),
        deepgram.ErrorReported("FAILED_TO_THINK", "think failed"),
        deepgram.ServiceWarning("SLOW_THINK_REQUEST", "We have now waited 5 seconds for a think response."),
        deepgram.UnknownMessage("Novelty", {"type": "Novelty", "n": 1}),
    )
}

SMALLEST = deepgram.Settings(Audio(), AgentSettings())
