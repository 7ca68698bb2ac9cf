"""The shipped prompts keep what must be in them when they are rewritten."""

import re
from pathlib import Path

import attrs
import pytest

from actors.session.opening import SettingsForm
from agents import phone
from agents.brief import Brief
from agents.company import COMPANY, RULES
from agents.phone import PHONE_MANNERS
from agents.roster import default_roster
from agents.spec import AgentSpec
from protocol.deepgram import encode_client
from simulators.deepgram.strict import decode_client

LOADED = list(default_roster().agents.values())
AGENTS = [
    *LOADED,
    *(
        attrs.evolve(agent, name=f"{agent.name}, inbound", prompt=agent.inbound_prompt, greeting=agent.inbound_greeting)
        for agent in LOADED
        if agent.inbound_prompt
    ),
]
every_agent = pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)


@every_agent
def test_a_prompt_names_exactly_the_functions_that_the_agent_has(agent: AgentSpec) -> None:
    named = set(re.findall(r"`((?:handoff|end|schedule|record)_\w+)`", agent.prompt))

    assert named == {function.name for function in agent.functions}


@every_agent
def test_a_prompt_names_only_reasons_that_exist(agent: AgentSpec) -> None:
    reasons = re.findall(r"`end_conversation`\s+with\s+(\w+)", agent.prompt)

    assert reasons
    assert set(reasons) <= {"customer_goodbye", "task_complete", "customer_request", "not_interested"}


@every_agent
def test_a_prompt_carries_the_telephone_manners_and_is_short_enough_to_be_followed(agent: AgentSpec) -> None:
    assert PHONE_MANNERS in agent.prompt
    assert len(agent.prompt) < 9_000


@every_agent
@pytest.mark.parametrize(
    "brief", [None, Brief(name="John Smith", need="retirement planning"), Brief(name="John"), Brief(need="a loan")]
)
def test_a_greeting_is_at_most_two_sentences_and_ends_with_one_question(agent: AgentSpec, brief: Brief | None) -> None:
    greeting = agent.greeting_with(brief)

    assert greeting.count("?") == 1
    assert greeting.endswith("?")
    assert len(re.findall(r"[.?!](?:\s|$)", greeting)) <= 2
    assert not re.search(r"[0-9*#_`(){}\[\]]", greeting)


@every_agent
def test_a_greeting_uses_the_brief(agent: AgentSpec) -> None:
    greeting = agent.greeting_with(Brief(name="John Smith", need="Retirement planning"))

    assert "John" in greeting
    assert "retirement planning" in greeting or agent.name.endswith("inbound")


def test_a_caller_is_thanked_and_never_told_that_they_asked_for_a_call() -> None:
    first = default_roster().agents["qualifier"]
    greeting = f"Thanks for calling {COMPANY}, it's Alex, the virtual assistant. What can I do for you?"

    assert first.greeting_with(None, "inbound") == greeting
    for brief in (None, Brief(name="John Smith", need="a loan"), Brief(need="a loan")):
        assert "You asked us" not in first.greeting_with(brief, "inbound")
        assert "You asked us" in first.greeting_with(brief, "outbound")
    assert "you are interrupting their day" not in first.prompt_with(None, "inbound")
    assert "answers the phone" not in first.prompt_with(None, "outbound")


def test_the_manners_know_no_company_and_the_shipped_agents_know_its_rules() -> None:
    assert not re.search(r"account|card|price|return|financ|appointment|Acme", PHONE_MANNERS)
    assert not [agent.name for agent in AGENTS if RULES not in agent.prompt]


def test_the_name_of_the_company_stands_in_one_place() -> None:
    folder = Path(phone.__file__).parent
    named = [path.name for path in folder.glob("*.py") if "Acme" in path.read_text(encoding="utf-8")]

    assert named == ["company.py"]


@every_agent
def test_every_function_says_how_it_is_announced(agent: AgentSpec) -> None:
    assert not [function.name for function in agent.functions if not function.announced_by]


def test_what_an_agent_says_for_example_is_sayable() -> None:
    """Lines that start with "You:" are what the model imitates, so they keep the manners themselves."""
    spoken = [line for agent in AGENTS for line in re.findall(r"^You: (.+)", agent.prompt, re.MULTILINE)]

    assert len(spoken) >= 8
    assert not [line for line in spoken if re.search(r"[0-9*#_`{}()\[\]]", line)]
    assert not [line for line in spoken if len(re.findall(r"[.?!](?:\s|$)", line)) > 2]
    assert not [line for line in spoken if line.count("?") > 1]


def test_no_example_uses_the_customer_of_the_demo() -> None:
    """A model that takes facts from an example would otherwise go unnoticed."""
    assert not [agent.name for agent in AGENTS if re.search(r"John|Smith|Seattle|retire", agent.prompt)]


@every_agent
def test_the_settings_of_an_agent_pass_a_parser_as_strict_as_deepgrams(agent: AgentSpec) -> None:
    brief = Brief(name="John", need="a loan")
    settings = SettingsForm("CA1").fresh(agent, brief)

    assert decode_client(encode_client(settings)) == settings
