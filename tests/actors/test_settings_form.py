"""What a session is told before it says its first word."""

import attrs
import pytest

from actors.settings_form import SettingsForm, VoiceAgentOptions
from agents.brief import Brief
from agents.options import AgentOptions, ThinkModel
from agents.roster import default_roster
from agents.spec import AgentSpec
from protocol.deepgram import AgentSettings, CompletedCall, HistoryCalls, HistoryText, Settings, encode_client
from protocol.deepgram.strict import decode_client

QUALIFIER, ADVISOR, CLOSER = default_roster().agents.values()
BRIEF = Brief(name="John Smith", need="a business loan")
FORM = SettingsForm("CA1")


def agent_of(settings: Settings) -> AgentSettings:
    assert isinstance(settings.agent, AgentSettings)
    return settings.agent


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
