"""Settings become the services of a call."""

from pathlib import Path

import pytest

from actors.policy import SummaryMode
from store.files import FileRecords
from store.memory import MemoryRecords
from tests.web.fakes import settings
from web.pigeonholes import Pigeonholes, SharedPigeonholes
from web.services import holes_of, open_services, policy_of, records_of, roster_of


@pytest.mark.parametrize(
    ("changes", "records"),
    [
        ({"DATABASE_URL": "memory:"}, MemoryRecords()),
        ({}, MemoryRecords()),
        ({"RECORDINGS_DIR": "here"}, FileRecords(Path("here"))),
        ({"RECORDINGS_DIR": "here", "DATABASE_URL": "file:there"}, FileRecords(Path("there"))),
        ({"DATABASE_URL": "file:///var/calls"}, FileRecords(Path("/var/calls"))),
        ({"RECORDINGS_DIR": "here", "DATABASE_URL": "memory:"}, MemoryRecords()),
    ],
    ids=str,
)
def test_records_are_kept_where_the_settings_say(changes: dict[str, str], records: object) -> None:
    assert records_of(settings(**changes)) == records


def test_pigeonholes_are_shared_when_there_is_a_folder_for_them() -> None:
    assert isinstance(holes_of(settings()), Pigeonholes)
    assert holes_of(settings(RECORDINGS_DIR="here")) == SharedPigeonholes(Path("here/.pending"))


def test_the_deadlines_of_a_call_are_the_settings() -> None:
    policy = policy_of(
        settings(SUMMARY_MODE="on_handoff", SUMMARY_DEADLINE="1.5", FALLBACK_PHONE_NUMBER="+15559870000")
    )

    assert (policy.summary_mode, policy.summary_deadline) == (SummaryMode.ON_HANDOFF, 1.5)
    assert policy.fallback_number == "+15559870000"


def test_agents_speak_with_the_voices_of_the_settings() -> None:
    roster = roster_of(settings(ADVISOR_VOICE_MODEL="aura-2-orion-en"))

    assert roster.agents["advisor"].voice == "aura-2-orion-en"


async def test_everything_a_call_needs_is_opened() -> None:
    chosen = settings(THINK_MODEL="gpt-5-mini")
    async with open_services(chosen) as opened:
        services = opened.services

        assert services.voice_agent.think_model == "gpt-5-mini"
        assert services.ask_brief is not None
        assert services.line is opened.line


async def test_without_a_key_groq_is_not_asked() -> None:
    async with open_services(settings(GROQ_API_KEY="")) as opened:
        assert opened.services.ask_brief is None
