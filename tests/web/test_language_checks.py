"""What an agent hears and speaks goes together, or is told before the first call."""

from collections.abc import Mapping

import pytest

from tests.web.fakes import settings
from web.checkup import check_languages, heard_by, unfit

FLUX = {"LISTEN_MODEL": "flux-general-multi"}


@pytest.mark.parametrize(
    ("voice", "chosen", "told"),
    [
        ("aura-2-luna-en", {}, ""),
        ("aura-2-celeste-es", FLUX, ""),
        ("aura-2-celeste-es", {**FLUX, "LISTEN_LANGUAGE": "es-419,en"}, ""),
        ("aura-2-celeste-es", {"LISTEN_MODEL": "nova-3", "LISTEN_LANGUAGE": "multi"}, ""),
        ("cartesia/sonic-2/a-voice", {}, ""),
        ("cartesia/sonic-2/a-voice", {"SPEAK_FALLBACK": "aura-2-celeste-es"}, ""),
        ("aura-2-celeste-es", {}, "speaks es (aura-2-celeste-es) and hears en (flux-general-en)"),
        ("aura-2-luna-en", {"LISTEN_MODEL": "nova-3", "LISTEN_LANGUAGE": "es"}, "hears es (nova-3)"),
        ("aura-2-luna-en", {**FLUX, "LISTEN_LANGUAGE": "es"}, "hears es (flux-general-multi)"),
        ("aura-2-celeste-es", {"LISTEN_MODEL": "nova-3"}, "hears en (nova-3)"),
        ("aura-2-luna-en", {"SPEAK_FALLBACK": "aura-2-celeste-es"}, "es when that fails"),
    ],
)
def test_languages_that_do_not_fit_are_told(voice: str, chosen: Mapping[str, str], told: str) -> None:
    assert [told in why for why in unfit(voice, settings(**chosen).options)] == [True] * bool(told)


async def test_what_does_not_fit_is_a_warning() -> None:
    finding = await check_languages(settings(LISTEN_MODEL="nova-3", LISTEN_LANGUAGE="es"))

    assert finding.well
    assert "qualifier speaks en" in finding.says
    assert finding.fix.startswith("If that is not meant")


async def test_the_agents_that_come_with_the_program_hear_what_they_speak() -> None:
    assert (await check_languages(settings())).says == "every agent hears what it speaks: en"


def test_a_recogniser_without_a_language_hears_english_or_all() -> None:
    assert heard_by("nova-3", ()) == {"en"}
    assert not heard_by("flux-general-multi", ())
