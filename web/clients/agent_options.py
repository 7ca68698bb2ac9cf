"""Options of the agents from the settings of models and voices, and a check that a service can take them.

`options_of` makes the options that every agent begins with. `refuse_options` opens nothing: it writes the Settings of
each agent and reads them by the service's own rules, so that what cannot work is told before the first call.
"""

from collections.abc import Iterator

from actors.session.settings_form import SettingsForm, VoiceAgentOptions
from agents.roster import Roster, RosterError, RosterProblem
from agents.spec import AgentOptions, ThinkModel
from model_settings import AURA_SLOWEST
from protocol.deepgram import Endpoint, why_unheard
from protocol.deepgram.rules import problems
from settings import Settings


def options_of(settings: Settings) -> AgentOptions:
    return AgentOptions(
        listen_model=settings.listen_model,
        listen_language=settings.listen_language,
        listen_keyterms=settings.listen_keyterms,
        eot_threshold=settings.listen_eot_threshold,
        eager_eot_threshold=settings.listen_eager_eot_threshold,
        eot_timeout_ms=settings.listen_eot_timeout_ms,
        think=_think_of(settings),
        temperature=settings.think_temperature,
        reasoning_mode=settings.think_reasoning_mode,
        speak_fallback=settings.speak_fallback,
        speak_speed=settings.speak_speed,
        mip_opt_out=settings.mip_opt_out,
    )


def _think_of(settings: Settings) -> tuple[ThinkModel, ...]:
    """Return the models of THINK_PROVIDER, then the fallbacks: those of other vendors first."""
    own = settings.think_endpoint
    endpoint = Endpoint(own.url, own.headers) if own is not None else None
    ours = [ThinkModel(settings.think_provider, name, endpoint) for name in settings.think_model]
    fallbacks = sorted(settings.think_fallback, key=lambda pair: pair[0] == settings.think_provider)
    others = [ThinkModel(provider, name) for provider, name in fallbacks]
    return (*ours, *(each for each in others if str(each) not in map(str, ours)))


def refuse_options(roster: Roster, options: VoiceAgentOptions) -> None:
    """Refuse a roster with options that the Voice Agent API would refuse. Raises: `RosterError`."""
    found = list(_problems(roster, options))
    if found:
        raise RosterError(found)


def _problems(roster: Roster, options: VoiceAgentOptions) -> Iterator[RosterProblem]:
    form = SettingsForm("check", options)
    for name, agent in roster.agents.items():
        for reason in problems(form.fresh(agent, None)):
            yield RosterProblem(f"agent {name!r}", "options", reason)
        chosen = agent.options.over(options.defaults)
        if why := why_unheard(chosen.listen_model or "", chosen.listen_language or ()):
            yield RosterProblem(f"agent {name!r}", "options.listen_language", why)
        speed = chosen.speak_speed
        if agent.voice.startswith("aura-") and speed is not None and speed < AURA_SLOWEST:
            text = f"a speed of {speed:g} is too slow for the Aura voice {agent.voice}"
            yield RosterProblem(f"agent {name!r}", "voice", text)
