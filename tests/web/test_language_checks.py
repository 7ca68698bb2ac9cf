"""What an agent hears, speaks and is written in goes together, or is told before the first call."""

from collections.abc import Mapping
from typing import Any, cast

import attrs
import pytest

from agents.functions import END_CONVERSATION
from agents.sentences import Sentences
from agents.spec import AgentSpec
from tests.web.fakes import settings
from web.checkup import check_languages, heard_by, language_of_text, unfit

ENGLISH, SPANISH = "Hello, this is Acme. How can I help you?", "Hola, gracias por llamar a Acme. ¿Cómo puedo ayudarle?"
_NAMES = {name for name, _ in Sentences().all()} - {"fillers"}
CASTILIAN = Sentences(language="es-ES", fillers=(SPANISH,), **cast("Any", dict.fromkeys(_NAMES, SPANISH)))
PROMPT = "You are the assistant of Acme. Keep it short, and ask what the caller needs."
FLUX = {"LISTEN_MODEL": "flux-general-multi"}


@pytest.mark.parametrize(
    ("spec", "chosen", "told"),
    [
        (("aura-2-luna-en", ENGLISH, PROMPT), {}, ""),
        (("aura-2-celeste-es", SPANISH, PROMPT), FLUX, ""),
        (("aura-2-celeste-es", SPANISH, PROMPT), {**FLUX, "LISTEN_LANGUAGE": "es-419,en"}, ""),
        (("aura-2-celeste-es", SPANISH, PROMPT), {"LISTEN_MODEL": "nova-3", "LISTEN_LANGUAGE": "multi"}, ""),
        (("cartesia/sonic-2/a-voice", SPANISH, PROMPT), {}, ""),
        (("aura-2-celeste-es", SPANISH, PROMPT), {}, "speaks es (aura-2-celeste-es) and hears en (flux-general-en)"),
        (("aura-2-luna-en", ENGLISH, PROMPT), {"LISTEN_MODEL": "nova-3", "LISTEN_LANGUAGE": "es"}, "hears es (nova-3)"),
        (("aura-2-luna-en", ENGLISH, PROMPT), {**FLUX, "LISTEN_LANGUAGE": "es"}, "hears es (flux-general-multi)"),
        (("aura-2-celeste-es", SPANISH, PROMPT), {"LISTEN_MODEL": "nova-3"}, "hears en (nova-3)"),
        (("aura-2-luna-en", SPANISH, PROMPT), {}, "its greeting is written in es"),
        (("aura-2-celeste-es", SPANISH, SPANISH), FLUX, ""),
        (("aura-2-luna-en", ENGLISH, SPANISH), {}, "its prompt is written in es"),
        (("aura-2-luna-en", ENGLISH, PROMPT), {"VOICEMAIL_MESSAGE": SPANISH}, "VOICEMAIL_MESSAGE is written in es"),
        (("aura-2-celeste-es", "", PROMPT), FLUX, "its wording (`sentences`) is written in en"),
        (("aura-2-luna-en", ENGLISH, PROMPT), {"SPEAK_FALLBACK": "aura-2-celeste-es"}, "es when that fails"),
    ],
)
def test_languages_that_do_not_fit_are_told(spec: tuple[str, str, str], chosen: Mapping[str, str], told: str) -> None:
    voice, greeting, prompt = spec
    sentences = CASTILIAN if voice.endswith("-es") and greeting else Sentences()
    agent = AgentSpec("one", "One", prompt, greeting, voice, (END_CONVERSATION,), sentences=sentences)
    ours = settings(**chosen)
    found = list(unfit(agent, ours.options, ours.voicemail_message))

    assert [told in why for why in found] == [True] * bool(told)


@pytest.mark.parametrize(("language", "told"), [("", "its words in en"), ("pt-BR", "its words in pt"), ("es-MX", "")])
def test_words_that_twilios_voice_would_say_in_another_language_are_told(language: str, told: str) -> None:
    sentences = attrs.evolve(CASTILIAN, language=language, voicemail=SPANISH)
    agent = AgentSpec("one", "One", PROMPT, SPANISH, "aura-2-celeste-es", (END_CONVERSATION,), sentences=sentences)
    found = list(unfit(agent, settings(**FLUX).options, ENGLISH))

    assert [told in why for why in found] == [True] * bool(told)


@pytest.mark.parametrize(
    ("language", "own", "notice", "told"),
    [
        ("es-MX", "", "This call is recorded. Please stay with us.", "its RECORDING_NOTICE is written in en"),
        ("es-MX", "", SPANISH, ""),
        ("es-MX", SPANISH, "This call is recorded. Please stay with us.", ""),
        ("", "", SPANISH, "Twilio's voice its words in en"),
    ],
)
def test_a_notice_that_another_language_s_voice_would_read_is_told(
    language: str, own: str, notice: str, told: str
) -> None:
    """Twilio's voice reads it, in the language of the agent's sentences, whatever it is written in."""
    sentences = attrs.evolve(CASTILIAN, language=language, voicemail=SPANISH, recording_notice=own)
    agent = AgentSpec("one", "One", PROMPT, SPANISH, "aura-2-celeste-es", (END_CONVERSATION,), sentences=sentences)

    assert [told in why for why in unfit(agent, settings(**FLUX).options, "", notice)] == [True] * bool(told)


async def test_the_notice_is_compared_with_the_agents_that_begin_calls() -> None:
    finding = await check_languages(settings(RECORDING_NOTICE="Esta llamada está grabada, gracias por su paciencia."))

    assert finding.says == "qualifier speaks en (aura-2-mars-en), and its RECORDING_NOTICE is written in es"


async def test_what_does_not_fit_is_a_warning() -> None:
    finding = await check_languages(settings(LISTEN_MODEL="nova-3", LISTEN_LANGUAGE="es"))

    assert finding.well
    assert "qualifier speaks en" in finding.says
    assert finding.fix.startswith("If that is not meant")


async def test_the_agents_that_come_with_the_program_hear_what_they_speak() -> None:
    assert (await check_languages(settings())).says == "every agent hears what it speaks: en"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", ""),
        ("Acme", ""),
        ("Guten Tag, {name}. Was kann ich für Sie tun?", "de"),
        ("Bonjour, je suis Alex. Comment puis-je vous aider ?", "fr"),
        ("Buongiorno, sono Alex. Come posso aiutarla?", "it"),
        ("Olá, eu sou a Ana. Como posso ajudar você?", "pt"),
        ("Goedendag, waar kan ik u mee helpen?", "nl"),
        ("Alex, Acme, die la", ""),
    ],
)
def test_a_language_is_guessed_only_where_its_words_are_plain(text: str, language: str) -> None:
    assert language_of_text(text) == language


def test_a_recogniser_without_a_language_hears_english_or_all() -> None:
    assert heard_by("nova-3", ()) == {"en"}
    assert not heard_by("flux-general-multi", ())
