"""Check of languages before the first call: whether each agent hears what it speaks, in what it is written in.

Nothing here refuses: an agent may teach a language, and what a text is written in is guessed by its commonest words. A
voice of Deepgram's has its language at the end of its name; Cartesia's have none, and nothing is said of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agents.spec import AgentOptions, AgentSpec
from protocol.deepgram import CARTESIA, FLUENT_FLUX
from settings import Settings
from web.from_settings import roster_of
from web.twilio_checks import Finding

_COMMON: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "de": "auf bin das der die ein guten ich ihnen ist kann mit nicht sie und wie",
        "en": "about and are can for help how is my of please the this what with you your",
        "es": "cómo con el es está gracias hola la por puedo qué soy su una usted y",
        "fr": "avec bonjour comment est je le les nous pour puis que suis une vous votre",
        "it": "buongiorno che chi ciao come con il le lei mi per posso sono una",
        "nl": "een goedendag helpen het hoe ik is kan met niet u uw van voor waar",
        "pt": "bem com como ela é eu não obrigado olá ou posso sou sua uma você",
    }.items()
}
_SURE: Final = 2
"""Words of one language more than of any other."""


def language_of_text(text: str) -> str:
    """Guess the language that a text is written in; empty where it may be one of several, or none that is known."""
    words = frozenset(re.findall(r"\w+", text.lower()))
    found = sorted(((len(words & common), language) for language, common in _COMMON.items()), reverse=True)
    return found[0][1] if found[0][0] >= found[1][0] + _SURE else ""


def language_of_voice(voice: str) -> str:
    """Return the language that a voice speaks; empty where its name does not tell."""
    return "" if voice.startswith(CARTESIA) or voice.count("-") < _SURE else voice.rpartition("-")[2]


def heard_by(model: str, languages: Sequence[str]) -> frozenset[str]:
    """Return the languages that a recogniser listens for; none where it listens for all that it knows."""
    asked = frozenset(name.lower().partition("-")[0] for name in languages) or (
        frozenset() if model == FLUENT_FLUX else frozenset({"en"})
    )
    return frozenset() if "multi" in asked else asked


def unfit(agent: AgentSpec, options: AgentOptions, voicemail: str) -> Iterator[str]:
    """Yield what of an agent does not go with its voice."""
    spoken, heard = language_of_voice(agent.voice), heard_by(options.listen_model or "", options.listen_language or ())
    if not spoken:
        return
    if heard and spoken not in heard:
        yield f"speaks {spoken} ({agent.voice}) and hears {', '.join(sorted(heard))} ({options.listen_model})"
    for voice in options.speak_fallback or ():
        if language_of_voice(voice) not in {"", spoken}:
            yield f"speaks {spoken} ({agent.voice}), and {language_of_voice(voice)} when that fails ({voice})"
    texts = {"greeting": agent.greeting, "inbound greeting": agent.inbound_greeting, "VOICEMAIL_MESSAGE": voicemail}
    texts |= {"welcome back": agent.welcome_back, "introduction": agent.introduction}
    texts["wording (`sentences`)"] = " ".join(text for _, text in agent.sentences.all())
    for name, text in texts.items():
        if (written := language_of_text(text)) not in {"", spoken}:
            yield f"speaks {spoken} ({agent.voice}), and its {name} is written in {written}"
    if (written := language_of_text(agent.prompt)) not in {"", "en", spoken}:
        yield f"speaks {spoken} ({agent.voice}), and its prompt is written in {written}"


async def check_languages(settings: Settings) -> Finding:
    """See whether ears, voices and texts of each agent are of one language; ask nobody."""
    agents = roster_of(settings).agents.values()
    mail = settings.voicemail_message
    odd = [f"{one.name} {why}" for one in agents for why in unfit(one, one.options.over(settings.options), mail)]
    if odd:
        fix = "If that is not meant, change LISTEN_MODEL and LISTEN_LANGUAGE, the voice, or the text."
        return Finding(well=True, says="; ".join(odd), fix=fix)
    spoken = sorted({language_of_voice(agent.voice) for agent in agents} - {""})
    return Finding(well=True, says=f"every agent hears what it speaks: {', '.join(spoken) or 'not told'}")
