"""Where what we send, or what a simulator sends, is known not to be what an official spec says, and why.

One table for every spec. A difference that is not here fails a test, and so does a row here that no longer occurs.
Docs are pages of https://developers.deepgram.com/docs/ read in autumn 2026; the AsyncAPI is of 2026-07-22.
"""

from collections.abc import Iterator, Mapping

from tests.interop.oracle import Difference, Source

SIGNED = "the page on function calls wants it passed back, the schema lacks it: sent only when the request carried one"
MODEL_IN_URL = "voice-agent-llm-models: with an endpoint, the URL of a google model names it"
NVIDIA = "voice-agent-llm-models: a managed provider that the SDK and the spec do not have yet"
YOUNGER = "newer than the spec; the pinned SDK has it"
YOUNGER_MODEL = "the spec lists the models of its day; voice-agent-llm-models lists this one"
LISTED = "https://console.groq.com/docs/api-reference#models has it, the SDK does not"
OFF_SPEC = "sent by the hosted service in Flux sessions, and in no spec"


def _rows(source: Source, *rows: tuple[str, str, str, str]) -> Iterator[tuple[Difference, str]]:
    for message, place, problem, why in rows:
        yield Difference(source, message, place, problem), why


def _thinks(source: Source, *rows: tuple[str, str, str]) -> Iterator[tuple[Difference, str]]:
    """Write rows about `think`, which `Settings` and `UpdateThink` have in common."""
    for place, problem, why in rows:
        yield Difference(source, "Settings", f"agent.think.{place}", problem), why
        yield Difference(source, "UpdateThink", f"think.{place}", problem), why


KNOWN: Mapping[Difference, str] = dict(
    (
        *_rows(
            "sdk",
            ("FunctionCallResponse", "thought_signature", "extra", SIGNED),
            ("EndOfTurn", "", "unknown message", OFF_SPEC),
        ),
        *_thinks(
            "sdk",
            ("provider.model", "missing", MODEL_IN_URL),
            ("provider.type", "nvidia is not listed", NVIDIA),
        ),
        *_rows(
            "groq",
            ("models", "data.active", "extra", LISTED),
            ("models", "data.context_window", "extra", LISTED),
        ),
        *_rows(
            "asyncapi",
            ("FunctionCallResponse", "thought_signature", "extra", SIGNED),
            ("EndOfTurn", "", "unknown message", OFF_SPEC),
            ("ForceEndTurn", "", "unknown message", YOUNGER),
            ("InjectAgentMessage", "is_dynamic", "extra", YOUNGER),
            ("InjectAgentMessage", "message", "missing", YOUNGER),
            (
                "Settings",
                "agent.speak.provider.model",
                "flux-kit-en is not listed",
                "a voice of Flux, newer than the spec",
            ),
            (
                "UpdateSpeak",
                "speak.provider.model",
                "flux-kit-en is not listed",
                "a voice of Flux, newer than the spec",
            ),
            ("FunctionCallCancelled", "", "unknown message", YOUNGER),
            ("ConversationText", "conversational_behavior", "extra", YOUNGER),
            ("LatencyReport", "stt_latency", "extra", YOUNGER),
        ),
        *_thinks(
            "asyncapi",
            ("functions.defer_until_eot", "extra", YOUNGER),
            ("provider.model", "missing", MODEL_IN_URL),
            ("provider.model", "gpt-5.4-mini is not listed", YOUNGER_MODEL),
            ("provider.model", "claude-haiku-4-5 is not listed", YOUNGER_MODEL),
            ("provider.model", "nemotron-3-nano-30B-A3B is not listed", YOUNGER_MODEL),
            ("provider.model", "think-fast is not listed", YOUNGER_MODEL),
            ("provider.type", "nvidia is not listed", NVIDIA),
            ("provider.type", "deepgram is not listed", YOUNGER),
        ),
    )
)
