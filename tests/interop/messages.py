"""Every message this program can send, and every message its simulated services do, as JSON by what it is."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import TypeAlias

import attrs
import orjson
import trio
from trio_websocket import ConnectionClosed

from actors.session.opening import DEFAULTS, SettingsForm, VoiceAgentOptions
from agents.brief import Brief
from agents.roster import default_roster
from agents.spec import AgentOptions, AgentSpec, ThinkModel
from protocol.deepgram import (
    ClientMessage,
    CompletedCall,
    Endpoint,
    ForceEndTurn,
    FunctionCallResponse,
    HistoryCalls,
    HistoryText,
    InjectAgentMessage,
    InjectUserMessage,
    KeepAlive,
    Settings,
    UpdateSpeak,
    UpdateThink,
    encode_client,
    speak_with,
)
from protocol.deepgram.settings import AgentSettings, ListenProvider
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.messages import UpdateListen, UpdatePrompt
from tests.simulators.deepgram.client import Client, calling, settings_for

Sent: TypeAlias = tuple[str, dict[str, object]]
"""A message's type, and the message."""

CALL = "CA0123456789abcdef0123456789abcdef"
FULL_BRIEF = Brief(
    summary='Said "I want <out>" & hung on.\nThen laughed.',
    name="Zoë",
    location="Seattle",
    need="retirement planning",
    timeline="this year",
    next_step="a call on Tuesday",
)
BRIEFS = (None, Brief(), FULL_BRIEF)
ANSWERED = CompletedCall("call_1", "record_satisfaction", True, '{"rating":5}', '{"ok":true}')
SIGNED = CompletedCall("call_2", "schedule_followup", True, "{}", '{"ok":true}', thought_signature="c2lnbmVk")
HISTORIES: tuple[Sequence[HistoryText | HistoryCalls] | None, ...] = (
    None,
    (),
    (HistoryText("assistant", "Hello?"), HistoryText("user", "Yes."), HistoryCalls((ANSWERED, SIGNED))),
)
THERE = Endpoint("https://llm.example.com/v1/chat/completions", {"authorization": "Bearer x"})
FLUENT = AgentOptions(
    listen_model="flux-general-multi",
    listen_language=("en", "es"),
    listen_keyterms=("Acme", "annuity"),
    eot_threshold=0.8,
    eager_eot_threshold=0.4,
    eot_timeout_ms=4000,
)
THINKS = (
    ThinkModel("open_ai", "gpt-5.4-mini"),
    ThinkModel("open_ai", "gpt-4.1", THERE),
    ThinkModel("anthropic", "claude-haiku-4-5"),
    ThinkModel("google", "gemini-2.5-flash"),
    ThinkModel("google", "gemini-2.5-flash", THERE),
    ThinkModel("groq", "openai/gpt-oss-20b", THERE),
    ThinkModel("nvidia", "nemotron-3-nano-30B-A3B"),
    ThinkModel("deepgram", "think-fast"),
)
OPTIONS = (
    FLUENT,
    AgentOptions(listen_model="nova-3", listen_language=("multi",), listen_keyterms=("Acme",)),
    AgentOptions(mip_opt_out=True, temperature=0.3),
    AgentOptions(speak_speed=1.2),
    AgentOptions(speak_fallback=("flux-kit-en", "cartesia/sonic-2/a167e0f3-df7e-4d52-a9c3-f949145efdab")),
    AgentOptions(think=THINKS, temperature=0.3, reasoning_mode="low"),
    *(AgentOptions(think=(model,), temperature=0.3, reasoning_mode="low") for model in THINKS),
    *(AgentOptions(think=(model,)) for model in THINKS),
)


def client_messages() -> Iterator[Sent]:
    """Give everything that can be sent to Deepgram as text."""
    for message in _messages():
        frame = encode_client(message)
        assert isinstance(frame, str)
        body = orjson.loads(frame)
        yield body["type"], body


def _messages() -> Iterator[ClientMessage]:
    agents = [agent for human in (False, True) for agent in default_roster(human=human).agents.values()]
    for settings in _settings(agents):
        yield settings
        assert isinstance(settings.agent, AgentSettings)
        yield UpdateThink(settings.agent.think)
        yield UpdateSpeak(settings.agent.speak)
    yield from (
        KeepAlive(),
        ForceEndTurn(),
        InjectUserMessage("Are you there?"),
        InjectAgentMessage("One moment, please."),
        InjectAgentMessage("One moment, please.", "queue"),
        InjectAgentMessage("Goodbye.", "interrupt"),
        InjectAgentMessage(is_dynamic=True),
        FunctionCallResponse("call_1", "record_satisfaction", '{"ok":true}'),
        FunctionCallResponse("call_1", "record_satisfaction", '{"error":"no"}', thought_signature="c2lnbmVk"),
    )


def _settings(agents: Sequence[AgentSpec]) -> Iterator[Settings]:
    usual = SettingsForm(CALL)
    for agent, brief, history in product(agents, BRIEFS, HISTORIES):
        yield usual.fresh(agent, brief) if history is None else usual.resumed(agent, brief, history, "Sorry, go on.")
    for options in OPTIONS:
        yield SettingsForm(CALL, VoiceAgentOptions(options.over(DEFAULTS))).fresh(agents[0], None)


TALKATIVE = DeepgramKnobs(sends_agent_thinking=True, stt_reports_per_second=2.0, speculative_pause=0.1)
FAILING = DeepgramKnobs(think_failures=1, speak_failures=1)


_said: list[Sent] = []


async def service_messages() -> list[Sent]:
    """Return what the simulated service says in a few conversations that make it say all it can; held once."""
    if not _said:
        for knobs, fault in (
            (TALKATIVE, "cancel call 0.1 s"),
            (DeepgramKnobs(injection_refusal=None), "slow think 6 s"),
            (FAILING, "error INTERNAL_SERVER_ERROR after 60 s"),
        ):
            settings = attrs.evolve(settings_for(), experimental=True)
            async with calling(settings, knobs=knobs, faults=[fault]) as client:
                if fault.startswith("cancel"):
                    client.answer = lambda _: None
                with suppress(ConnectionClosed):
                    await _converse(client)
                _said.extend((message["type"], message) for message in map(orjson.loads, client.raw))
    return _said


async def _converse(client: Client) -> None:
    agent = settings_for().agent
    assert isinstance(agent, AgentSettings)
    await client.send(InjectAgentMessage("I am busy."))
    client.say("Sure, I have a few minutes.")
    await client.wait_said()
    await trio.sleep(10.0)
    await client.send(InjectUserMessage("I would give it a five."))
    await trio.sleep(10.0)
    assert agent.listen is not None
    for update in (
        UpdatePrompt("Be brief."),
        UpdateThink(agent.think),
        UpdateSpeak((speak_with("aura-2-thalia-en"),)),
        UpdateListen(attrs.evolve(agent.listen, provider=ListenProvider("deepgram", model="nova-3"))),
        ForceEndTurn(),
    ):
        await client.send(update)
    await trio.sleep(1.0)
