"""Options of the agents from the settings of models and voices, and a check that a service can take them.

`options_of` makes the options that every agent begins with. `refuse_options` tells before the first call what cannot
work together; it opens nothing.
"""

import attrs

from agents.checks import problems_of_options
from agents.loading import RosterProblem, refuse
from agents.roster import Roster
from agents.spec import AgentOptions, ThinkModel
from model_settings import USUAL_EOT_THRESHOLD
from protocol.deepgram import Endpoint
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


def refuse_options(roster: Roster, defaults: AgentOptions) -> None:
    """Refuse a roster whose options, with those of the settings, cannot work. Raises: `RosterError`."""
    refuse(
        RosterProblem(f"agent {name!r}", field, text)
        for name, agent in roster.agents.items()
        for field, text in problems_of_options(_chosen(agent.options, defaults), agent.voice)
    )


def _chosen(own: AgentOptions, defaults: AgentOptions) -> AgentOptions:
    """Return the options of a session; where nobody says how sure of an end of turn Flux must be, it is as usual."""
    chosen = own.over(defaults)
    return attrs.evolve(chosen, eot_threshold=chosen.eot_threshold or USUAL_EOT_THRESHOLD)
