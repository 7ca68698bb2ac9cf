"""Checks on one agent before it may answer a telephone.

Owns the checks that need nothing but the agent and the names of the others; circles and unreachable agents are the
roster's. It never raises: every problem is yielded as a field and a sentence, for the roster to report with the file.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

import orjson

from agents.announcing import why_never
from agents.arguments import SchemaRefused
from agents.brief import BRIEF_NAMES, largest_brief
from agents.context import has_yield
from agents.functions import FunctionSpec
from agents.quoting import SPEAKERS
from agents.sentences import PHRASES
from agents.spec import INBOUND, OUTBOUND, PROMPT_LIMIT, SPOKEN_LIMIT, AgentOptions, AgentSpec, SoftEdge, blanks_of
from agents.spec_types import takes_other_than
from agents.unknown import plain_words
from protocol.deepgram import (
    AURA_SLOWEST,
    LANGUAGE,
    LIMITS,
    MANAGED,
    MODEL_NAME,
    MOST_KEYTERMS,
    OWN_ENDPOINT,
    REASONING_MODES,
    USUAL_EOT_THRESHOLD,
    VOICE_NAME,
    VOICE_WANTED,
    why_no_endpoint,
    why_unheard,
)
from protocol.fields import JSON, quoted
from protocol.phone_numbers import is_phone_number

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FUNCTION_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_FUNCTIONS: Final = 128
"""Of one request to OpenAI's LLMs: learn.microsoft.com/azure/ai-services/openai/quotas-limits."""
_PRESS_LIMIT: Final = 300
"""Escaped in an address it stands in a document for Twilio, of 4,000 characters: twilio.com/docs/api/errors/32018."""
_BLANKS: Final = frozenset({"name", "topic"})
_NO_HUMAN: Final = (
    "nobody can be reached: set TRANSFER_PHONE_NUMBER (or FALLBACK_PHONE_NUMBER), give transfer_to_human a number, or "
    "write offers_human=True instead, which leaves it out where there is nobody"
)

_FIXED: Final = (
    *("listen_model", "listen_language", "listen_keyterms", "eot_threshold", "eager_eot_threshold", "eot_timeout_ms"),
    "mip_opt_out",
)
"""The options of a session that no update changes at once: UpdateListen may take many seconds."""

Found = Iterator[tuple[str, str]]


def problems_of_agent(agent: AgentSpec, agents: Mapping[str, AgentSpec], *, human: bool) -> Found:
    """Yield everything wrong with one of these agents as a field and a sentence."""
    if not _NAME.fullmatch(agent.name):
        yield "name", f"{quoted(agent.name)} must be a lower-case word of letters, digits and underscores"
    if agent.name in SPEAKERS:
        yield "name", f"{agent.name!r} names another speaker in transcripts: choose another name"
    if not VOICE_NAME.fullmatch(agent.voice):
        yield "voice", f"{quoted(agent.voice)} is not {VOICE_WANTED}"
    for name in agent.brief_entries:
        if not _NAME.fullmatch(name) or name in BRIEF_NAMES:
            yield "brief_entries", f"{name!r} must be a lower-case word, and no entry that every Brief has"
    yield from _prompt(agent)
    yield from _words(agent)
    yield from problems_of_options(agent.options, agent.voice, is_all=False)
    yield from _edges(agent, agents)
    yield from _soft_edges(agent, agents)
    yield from _functions(agent)
    for function in agent.functions:
        if function.human == "" and not human:
            yield f"functions.{function.name}", _NO_HUMAN


def _prompt(agent: AgentSpec) -> Found:
    if not agent.prompt.strip():
        yield "prompt", "is empty"
    if agent.inbound_prompt and not agent.inbound_prompt.strip():
        yield "inbound_prompt", "is blank"
    brief = largest_brief(tuple(agent.brief_entries))
    length = max(len(agent.prompt_with(brief, direction)) for direction in (INBOUND, OUTBOUND))
    if length > agent.prompt_limit:
        cut = f"Deepgram cuts what is over {PROMPT_LIMIT}: shorten it by {length - PROMPT_LIMIT}"
        yield "prompt", f"is {len(agent.prompt)} characters, with the largest Brief {length}; {cut}"


def _words(agent: AgentSpec) -> Found:
    yield from _greeting("greeting", agent.greeting)
    if agent.inbound_greeting:
        yield from _greeting("inbound_greeting", agent.inbound_greeting)
    for field in ("welcome_back", "introduction"):
        yield from _plain(field, getattr(agent, field))
    says = agent.sentences
    if not says.fillers:
        yield "sentences.fillers", "is empty: write at least one sentence for a silence"
    if says.language == "multi" or (says.language and not LANGUAGE.fullmatch(says.language)):
        yield "sentences.language", f"{says.language!r} is no language of Twilio's: write one such as es-MX"
    for name, text in says.all():
        yield from _plain(f"sentences.{name}", text)
        if not text.strip():
            yield f"sentences.{name}", "is blank: leave it out for the English one"
    for name in PHRASES:
        yield from _phrases(f"sentences.{name}", getattr(says, name))


def _plain(field: str, text: str) -> Found:
    if not {"{", "}"}.isdisjoint(text):
        yield field, "has a blank in it, and only a greeting has these: leave it out"
    if text.strip() and not plain_words(text):
        yield field, f"{quoted(text)} has no word in it: nobody can speak that"
    yield from _length(field, text)


def _length(field: str, text: str) -> Found:
    takes, most = ("an address takes", _PRESS_LIMIT) if "press_to_take" in field else ("Deepgram speaks", SPOKEN_LIMIT)
    if (length := len(text.strip())) > most:
        yield field, f"is {length} characters, and {takes} {most} at most: shorten it by {length - most}"


def _phrases(field: str, phrases: Iterable[str]) -> Found:
    announce = field.endswith(("announced_by", "passing_on"))
    for phrase in phrases:
        if not plain_words(phrase):
            yield field, f"{quoted(phrase)} has no word in it: nobody says that"
        elif announce and (why := why_never(phrase)):
            yield field, f"{quoted(phrase)} {why}"


def _greeting(field: str, greeting: str) -> Found:
    try:
        lines = [blanks_of(line) for line in greeting.splitlines() if line.strip()]
    except ValueError as error:
        yield field, f"cannot be read: {error}"
        return
    for line in filter(str.strip, greeting.splitlines()):
        yield from _length(field, line) if blanks_of(line) else _plain(field, line)
    for blank in {blank for line in lines for blank in line} - _BLANKS:
        yield field, f"{{{blank}}} is not a blank; there are {', '.join(sorted(_BLANKS))}"
    if not lines or lines[-1]:
        yield field, "needs a last line without blanks, for a customer about whom nothing is known"


_FORMS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "listen_model": (MODEL_NAME, "the name of a model"),
    "listen_language": (LANGUAGE, "a language such as en or es-419"),
    "listen_keyterms": (re.compile(r".*\S.*"), "a word"),
    "reasoning_mode": (re.compile("|".join(REASONING_MODES)), f"one of {', '.join(REASONING_MODES)}"),
    "speak_fallback": (VOICE_NAME, VOICE_WANTED),
}
"""What Deepgram takes, as the settings of the same names."""


def problems_of_options(options: AgentOptions, voice: str, *, is_all: bool = True) -> Found:
    """Yield everything wrong with the options of an agent, which are `is_all` unless the server's are to come."""
    for name, (least, most) in LIMITS.items():
        number = getattr(options, name)
        if number is not None and not least <= number <= most:
            yield f"options.{name}", f"is {number}; write a number from {least:g} to {most:g}"
    for name, (form, wanted) in _FORMS.items():
        value = getattr(options, name)
        values = () if value is None else (value,) if isinstance(value, str) else value
        for odd in (one for one in values if not form.fullmatch(one)):
            yield f"options.{name}", f"{quoted(odd)} is not {wanted}"
    if len(options.listen_keyterms or ()) > MOST_KEYTERMS:
        yield "options.listen_keyterms", f"are more than {MOST_KEYTERMS}"
    usual = USUAL_EOT_THRESHOLD if is_all else math.inf
    yield from _together(options, voice, options.eot_threshold or usual)
    yield from _think(options)


def _together(options: AgentOptions, voice: str, sure: float) -> Found:
    """Yield what does not go with something else."""
    eager, speed = options.eager_eot_threshold, options.speak_speed
    if eager is not None and eager > sure:
        yield "options.eager_eot_threshold", f"is {eager}, above eot_threshold: write at most {sure}"
    if options.listen_model and (why := why_unheard(options.listen_model, options.listen_language or ())):
        yield "options.listen_language", why
    voices = (voice, *(options.speak_fallback or ())) if speed is not None else ()
    for why in filter(None, (_why_no_speed(speed or 0.0, each) for each in voices)):
        yield "options.speak_speed", f"is {speed:g} (SPEAK_SPEED, if not the agent's own), {why}"


def _why_no_speed(speed: float, voice: str) -> str:
    if voice.startswith("aura-") and speed < AURA_SLOWEST:
        return f"too slow for the Aura voice {voice}: write {AURA_SLOWEST} or more"
    if voice.startswith("flux-") and 0 < speed < 2 and abs(speed * 20 - round(speed * 20)) > 1e-6:
        return f"and the Flux voice {voice} takes steps of 0.05: write {round(speed * 20) / 20:g}"
    return ""


def _think(options: AgentOptions) -> Found:
    if options.think is not None and not options.think:
        yield "options.think", "is empty: leave it out, or name a model"
    for model in options.think or ():
        if model.provider not in (*MANAGED, *OWN_ENDPOINT):
            yield "options.think", f"{model.provider!r} is not one of {', '.join((*MANAGED, *OWN_ENDPOINT))}"
        if not MODEL_NAME.fullmatch(model.name):
            yield "options.think", f"{model.name!r} is not the name of a model"
        if model.provider in OWN_ENDPOINT and model.endpoint is None:
            yield "options.think", f"{model.provider} needs an endpoint: ThinkModel({model.provider!r}, …, Endpoint(…))"
        if model.endpoint is not None and (why := why_no_endpoint(model.endpoint)):
            yield "options.think", why
        if options.mip_opt_out and (model.provider, model.name) == ("deepgram", "think-fast"):
            yield "options.think", "think-fast cannot be had with mip_opt_out: name another model"


def _edges(agent: AgentSpec, agents: Mapping[str, AgentSpec]) -> Found:
    yield from _targets(agent, agents)
    led, unknown = {one.leads_to for one in agent.functions if one.leads_to}, {*agent.hands_to} - agents.keys()
    lost = led - agents.keys() - unknown
    for target in sorted(lost):
        there_are = ", ".join(sorted(agents))
        yield "functions", f"a function leads to {target!r}, and there is no such agent; there are {there_are}"
    for target in sorted(led - lost - set(agent.hands_to)) if not unknown else ():
        yield "functions", f"a function leads to {target!r}, which is not in hands_to"
    for target in sorted(set(agent.hands_to) - led - unknown) if not lost else ():
        yield "functions", f"no function leads to {target!r} of hands_to: add handoff_to_next_agent({str(target)!r})"
    if not agent.hands_to and not any(one.ends_call or one.leads_back for one in agent.functions):
        yield "functions", "the agent can neither end the call nor hand it on: add END_CONVERSATION"


def _targets(agent: AgentSpec, agents: Mapping[str, AgentSpec]) -> Found:
    for target in dict.fromkeys(agent.hands_to):
        if target not in agents:
            yield "hands_to", f"there is no agent {target!r}; there are {', '.join(sorted(agents))}"
        if target == agent.name:
            yield "hands_to", "an agent cannot hand the call to itself"
        if agent.hands_to.count(target) > 1:
            name, joins = repr(str(target)), target in agents and agent.name in agents[target].joins_from
            fix = "leave it out there, or in its joins_from" if joins else f"write it plain or as soft({name})"
            yield "hands_to", f"{name} is there more than once: {fix}"


def _soft_edges(agent: AgentSpec, agents: Mapping[str, AgentSpec]) -> Found:
    """Yield what a session cannot change while it is open, for each agent that is to take it over."""
    for target in (edge for edge in agent.hands_to if isinstance(edge, SoftEdge) and edge in agents):
        ours, theirs = agent.options, agents[target].options
        differing = [name for name in _FIXED if getattr(ours, name) != getattr(theirs, name)]
        if differing:
            fix = f"cannot change on one session: write {str(target)!r}, or the same"
            yield "hands_to", f"{target!r}: {', '.join(differing)} {fix}"


def _functions(agent: AgentSpec) -> Found:
    for name, count in Counter(function.name for function in agent.functions).items():
        if count > 1:
            yield f"functions.{name}", f"is there {count} times: give each a name of its own, as name=…"
    if len(agent.functions) > _MOST_FUNCTIONS:
        yield "functions", f"are {len(agent.functions)}: no model is given more than {_MOST_FUNCTIONS}"
    for function in agent.functions:
        for part, text in _function(function):
            yield f"functions.{function.name}{part}", text


def _function(function: FunctionSpec) -> Found:
    if not _FUNCTION_NAME.fullmatch(function.name):
        yield "", "the name may have letters, digits, - and _, at most 64"
    if not function.description.strip():
        yield ".description", "is empty: it is how the model knows when to call"
    if (length := len(function.description)) > PROMPT_LIMIT:
        yield ".description", f"has {length} characters, more than a whole prompt may have ({PROMPT_LIMIT}): shorten it"
    yield from _handler(function)
    yield from _phrases(".announced_by", function.announced_by)
    if function.human and not is_phone_number(function.human):
        yield ".human", f"{function.human!r} is not a phone number: write + and 7 to 15 digits"
    if not 0 < function.deadline < math.inf:
        yield ".deadline", "must be more than 0 seconds, and end"
    yield from _arguments(function)


def _arguments(function: FunctionSpec) -> Found:
    try:
        parameters = function.definition().parameters
    except SchemaRefused as refused:
        yield f".arguments.{refused.field}".rstrip("."), refused.problem
        return
    for name, schema in cast("Mapping[str, JSON]", parameters["properties"]).items():
        try:
            orjson.dumps(schema)
        except TypeError as odd:
            yield f".arguments.{name}", f"cannot be written as JSON: {odd}"


def _handler(function: FunctionSpec) -> Found:
    handler, name = function.handler, getattr(function.handler, "__name__", "")
    example = f"async def {name if name.isidentifier() else function.name}(arguments, context)"
    if has_yield(handler):
        yield ".handler", "has a yield in it: return one outcome; what is said meanwhile is for context.say()"
    elif not function.has_handler():
        yield ".handler", f"is no async function: write {example}, or put @blocking over it"
    else:
        taken = takes_other_than(handler, 2)
        if taken is not None:
            yield ".handler", f"takes {taken}, and is given two values: write {example}"
