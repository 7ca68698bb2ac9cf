"""What a session is told before it says its first word."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import attrs
import pytest

from actors.line.tape import Tape
from actors.policy import CallPolicy, RestartPolicy
from actors.record.conversation import CallerTurn, Conversation, Heard
from actors.record.resumption import Resumption
from actors.session.opening import DEFAULTS, AgentOnCall, Offered, Openings, SettingsForm, VoiceAgentOptions
from actors.supervision import RestartBudget
from agents.brief import Brief
from agents.roster import default_roster
from agents.spec import AgentOptions, AgentSpec, ThinkModel
from protocol.deepgram import AgentSettings, CompletedCall, Endpoint, HistoryCalls, HistoryText, Settings, encode_client
from simulators.deepgram.strict import decode_client
from tests.actors.test_resumption import RECORD

QUALIFIER, ADVISOR, CLOSER = default_roster().agents.values()
BRIEF = Brief(name="John Smith", need="a business loan")
FORM = SettingsForm("CA1")


def agent_of(settings: Settings) -> AgentSettings:
    assert isinstance(settings.agent, AgentSettings)
    return settings.agent


@pytest.mark.parametrize(
    ("direction", "says"), [("inbound", "Thanks for calling"), ("outbound", "You asked us to call")]
)
def test_an_agent_is_told_and_says_who_has_called_whom(direction: str, says: str) -> None:
    agent = agent_of(SettingsForm("CA1", direction=direction).fresh(QUALIFIER, None))

    assert says in (agent.greeting or "")
    assert agent.think[0].prompt == QUALIFIER.prompt_with(None, direction)


def test_a_fresh_agent_greets_with_what_it_knows_and_remembers_nothing() -> None:
    agent = agent_of(FORM.fresh(ADVISOR, BRIEF))

    assert agent.greeting == ADVISOR.greeting_with(BRIEF)
    assert agent.context is None
    assert agent.think[0].prompt == ADVISOR.prompt_with(BRIEF)


def test_a_resumed_agent_goes_on_without_a_greeting() -> None:
    history = (HistoryText("user", "Hello."), HistoryCalls((CompletedCall("f1", "look_up", True, "{}", "{}"),)))

    agent = agent_of(FORM.resumed(ADVISOR, BRIEF, history))

    assert agent.greeting is None
    assert agent.context is not None
    assert agent.context.messages == history


def test_an_agent_resumed_before_anything_was_said_has_no_context_to_send() -> None:
    assert agent_of(FORM.resumed(QUALIFIER, None, ())).context is None


def test_an_agent_without_a_greeting_waits_to_be_spoken_to() -> None:
    assert agent_of(FORM.fresh(attrs.evolve(QUALIFIER, greeting=""), None)).greeting is None


def test_the_switchboards_options_are_every_agents() -> None:
    options = AgentOptions(listen_model="nova-3", think=(ThinkModel("anthropic", "claude-sonnet-5"),))
    form = SettingsForm("CA1", VoiceAgentOptions(options))

    agent = agent_of(form.fresh(CLOSER, None))

    assert agent.listen is not None
    assert (agent.listen.provider.model, agent.think[0].provider.type) == ("nova-3", "anthropic")
    assert agent.think[0].provider.model == "claude-sonnet-5"
    assert agent.speak[0].provider.model == CLOSER.voice


@pytest.mark.parametrize("agent", [QUALIFIER, ADVISOR, CLOSER], ids=lambda agent: agent.name)
def test_what_a_shipped_agent_is_opened_with_is_accepted_by_a_strict_service(agent: AgentSpec) -> None:
    settings = FORM.fresh(agent, BRIEF)

    assert decode_client(encode_client(settings)) == settings
    assert settings.tags == (f"agent:{agent.name}", "call:CA1")
    assert [function.name for function in agent_of(settings).think[0].functions] == [
        function.name for function in agent.functions
    ]


def wire(agent: AgentSpec, options: AgentOptions = DEFAULTS, offered: Offered | None = None) -> Mapping[str, Any]:
    """Return the agent of a Settings message as the service gets it; its own strict parser takes it."""
    frame = encode_client(SettingsForm("CA1", VoiceAgentOptions(options, offered or Offered())).fresh(agent, BRIEF))
    decode_client(frame)
    sent: Mapping[str, Any] = json.loads(frame)
    return sent


def test_a_model_and_a_voice_of_another_vendor_stand_behind_the_first() -> None:
    sent = wire(CLOSER)["agent"]

    assert [each["provider"] for each in sent["think"]] == [
        {"type": "open_ai", "model": "gpt-5.4-mini", "reasoning_mode": "none"},
        {"type": "anthropic", "model": "claude-haiku-4-5"},
    ]
    assert [each["provider"]["type"] for each in sent["speak"]] == ["deepgram", "cartesia"]
    assert len({each["prompt"] for each in sent["think"]}) == 1
    assert len({json.dumps(each["functions"]) for each in sent["think"]}) == 1


def test_a_model_that_is_not_offered_is_not_sent() -> None:
    sent = wire(CLOSER, offered=Offered(frozenset({("anthropic", "claude-haiku-4-5")})))["agent"]

    assert sent["think"]["provider"]["model"] == "claude-haiku-4-5"


FLUENT = AgentOptions(
    listen_model="flux-general-multi",
    listen_language=("en", "es"),
    listen_keyterms=("Roth IRA", "Acme"),
    eot_threshold=0.8,
    eager_eot_threshold=0.5,
    eot_timeout_ms=3000,
    think=(
        ThinkModel("groq", "openai/gpt-oss-20b", Endpoint("https://llm.test/v1", {"authorization": "Bearer k"})),
        ThinkModel("anthropic", "claude-haiku-4-5"),
    ),
    temperature=1.5,
    reasoning_mode="medium",
    speak_fallback=("flux-kit-en",),
    speak_speed=1.1,
    mip_opt_out=True,
)


@pytest.mark.parametrize("chosen_by", ["server", "agent"])
def test_every_option_reaches_the_service_from_the_settings_and_from_an_agent(chosen_by: str) -> None:
    agent = CLOSER if chosen_by == "server" else attrs.evolve(CLOSER, options=FLUENT)
    settings = wire(agent, FLUENT if chosen_by == "server" else DEFAULTS)
    sent = settings["agent"]

    assert sent["listen"]["provider"] == {
        "type": "deepgram",
        "version": "v2",
        "model": "flux-general-multi",
        "keyterms": ["Roth IRA", "Acme"],
        "language_hints": ["en", "es"],
        "eot_threshold": 0.8,
        "eager_eot_threshold": 0.5,
        "eot_timeout_ms": 3000,
    }
    first, second = sent["think"]
    assert first["provider"] == {
        "type": "groq",
        "model": "openai/gpt-oss-20b",
        "temperature": 1.5,
        "reasoning_mode": "medium",
    }
    assert first["endpoint"] == {"url": "https://llm.test/v1", "headers": {"authorization": "Bearer k"}}
    assert second["provider"] == {"type": "anthropic", "model": "claude-haiku-4-5", "temperature": 1.0}
    assert "endpoint" not in second
    assert [each["provider"]["speed"] for each in sent["speak"]] == [1.1, 1.1]
    assert settings["mip_opt_out"] is True


def test_an_agent_changes_what_it_names_and_nothing_else() -> None:
    agent = attrs.evolve(CLOSER, options=AgentOptions(listen_keyterms=("Zelle",), mip_opt_out=False))

    sent = wire(agent, FLUENT)

    assert sent["agent"]["listen"]["provider"]["keyterms"] == ["Zelle"]
    assert sent["agent"]["listen"]["provider"]["eot_threshold"] == 0.8
    assert "mip_opt_out" not in sent


@pytest.mark.parametrize(
    ("model", "language", "listens"),
    [
        ("nova-3", ("es",), {"language": "es"}),
        ("nova-3", (), {}),
        ("flux-general-en", ("en",), {}),
        ("flux-general-multi", ("es", "pt"), {"language_hints": ["es", "pt"]}),
    ],
)
def test_a_language_is_told_as_the_recogniser_takes_it(
    model: str, language: tuple[str, ...], listens: Mapping[str, object]
) -> None:
    options = attrs.evolve(DEFAULTS, listen_model=model, listen_language=language)

    provider = wire(CLOSER, options)["agent"]["listen"]["provider"]

    assert {name: provider[name] for name in ("language", "language_hints") if name in provider} == listens


@pytest.mark.parametrize(
    ("provider", "model", "mode"),
    [
        ("open_ai", "gpt-5.4-mini", "none"),
        ("open_ai", "gpt-5.5", "none"),
        ("open_ai", "gpt-5-mini", "minimal"),
        ("open_ai", "gpt-5.3-chat-latest", None),
        ("open_ai", "gpt-4.1", None),
        ("anthropic", "claude-haiku-4-5", None),
        ("google", "gemini-3.5-flash", None),
    ],
)
def test_a_model_is_asked_for_as_little_reasoning_as_it_can_do(provider: str, model: str, mode: str | None) -> None:
    sent = wire(CLOSER, attrs.evolve(DEFAULTS, think=(ThinkModel(provider, model),)))["agent"]

    assert sent["think"]["provider"].get("reasoning_mode") == mode


def test_a_model_of_googles_behind_an_endpoint_is_named_by_its_url_alone() -> None:
    there = ThinkModel("google", "gemini-3.5-flash", Endpoint("https://llm.test/models/gemini:stream"))

    sent = wire(CLOSER, attrs.evolve(DEFAULTS, think=(there,)))["agent"]

    assert sent["think"]["provider"] == {"type": "google"}


@pytest.mark.parametrize("way", ["first words", "restart", "back from a person", "another stream"])
async def test_an_agent_that_got_the_call_back_knows_both_parts_of_its_conversation(way: str) -> None:
    conversation = Conversation()
    for text in ("My bill is wrong.", "To billing, please.", "And your hours?"):
        conversation.recall(CallerTurn(text))
        conversation.recall(Heard("qualifier", "Yes.", "Yes.", is_said=True, is_complete=True))
    first = AgentOnCall(QUALIFIER, RestartBudget(RestartPolicy(), Random(0)))
    on_call = first.taken_back(AgentOnCall(ADVISOR, first.budget, since=2))
    on_call.begin(4)
    openings, before = Openings(FORM, Tape(), conversation, CallPolicy()), Resumption(RECORD)
    opening = {
        "first words": lambda: openings.greeting(on_call),
        "restart": lambda: openings.after_loss(on_call, 0),
        "back from a person": lambda: openings.after_person(on_call, 0),
        "another stream": lambda: openings.after_return(on_call, before),
    }[way]()
    context = agent_of(await opening.settings()).context

    assert context is not None
    told = [message.content for message in context.messages if isinstance(message, HistoryText)]
    assert told == ["My bill is wrong.", "Yes.", "And your hours?", "Yes."]
