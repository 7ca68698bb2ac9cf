import math
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from functools import partial, wraps
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, cast

import attrs
import pytest

from actors.line.ledger import SWITCHBOARD
from agents import advisor
from agents.functions import (
    END_CONVERSATION,
    SCHEDULE_FOLLOWUP,
    Answer,
    CallContext,
    FunctionSpec,
    Handler,
    HandoffArguments,
    Outcome,
    blocking,
    hand_back,
    handoff_to_next_agent,
    transfer_to_human,
)
from agents.http_function import http_function
from agents.quoting import CALLER, SPEAKERS
from agents.roster import ROSTER, SHIPPED, RosterError, default_roster, load_roster, roster_from
from agents.sentences import Sentences
from agents.spec import AgentOptions, AgentSpec, ThinkModel, soft
from protocol.deepgram import Endpoint
from store.records import OPERATOR

NO_VOICES = (" ", "thalia", "aura-2-thalia-en ", "cartesia/sonic-2", "cartesia/", "elevenlabs/x", "{name}")
ALONE = AgentSpec(
    name="alone",
    role="everything",
    prompt="You help.",
    greeting="How can I help?",
    voice="aura-2-thalia-en",
    functions=(END_CONVERSATION,),
)


def agent(name: str, *, to: tuple[str, ...] = (), ends: bool = False) -> AgentSpec:
    functions = tuple(handoff_to_next_agent(each, name=f"handoff_to_{each}") for each in to)
    return attrs.evolve(ALONE, name=name, hands_to=to, functions=(*functions, END_CONVERSATION) if ends else functions)


def refusal(*agents: AgentSpec) -> str:
    with pytest.raises(RosterError) as refused:
        load_roster(agents)
    return str(refused.value)


async def answer(arguments: HandoffArguments, context: CallContext) -> Outcome:
    return Answer("ok")


def not_awaitable(arguments: HandoffArguments, context: CallContext) -> Outcome:
    return Answer("ok")


async def of_one_value(arguments: HandoffArguments) -> Outcome:
    return Answer("ok")


async def of_names_only(*, arguments: HandoffArguments, context: CallContext) -> Outcome:
    return Answer("ok")


async def one_after_the_other(arguments: HandoffArguments, context: CallContext) -> AsyncIterator[Outcome]:
    yield Answer("ok")


def blocks_one_after_the_other(arguments: HandoffArguments, context: CallContext) -> Iterator[Outcome]:
    yield Answer("ok")


class Yielding:
    async def __call__(self, arguments: HandoffArguments, context: CallContext) -> AsyncIterator[Outcome]:
        yield Answer("ok")


def logged(handler: Handler) -> Handler:
    @wraps(handler)
    def logging(*args: object) -> Awaitable[Outcome]:
        return handler(*args)

    return logging


class Desk:
    async def book(self, arguments: HandoffArguments, context: CallContext) -> Outcome:
        return Answer("ok")


@pytest.mark.parametrize(
    "handler", [logged(answer), logged(logged(answer)), Desk().book, partial(of_names_only), partial(answer)]
)
def test_a_handler_may_be_whatever_can_be_awaited(handler: Handler) -> None:
    function = FunctionSpec("act", "Acts.", HandoffArguments, handler)

    assert function.has_handler()


@pytest.mark.parametrize("yields", [blocks_one_after_the_other, one_after_the_other])
def test_a_generator_cannot_be_a_blocking_handler(yields: object) -> None:
    with pytest.raises(TypeError, match="one_after_the_other has a yield in it"):
        blocking(cast("Any", yields))


@pytest.mark.parametrize("name", sorted(SPEAKERS))
def test_no_agent_has_the_name_of_another_speaker(name: str) -> None:
    """In a transcript its words would be the caller's, the switchboard's or an operator's."""
    refused = refusal(attrs.evolve(ALONE, name=name))
    assert f"agent {name!r}: name: {name!r} names another speaker in transcripts" in refused


def test_the_other_speakers_are_those_of_records() -> None:
    assert {CALLER, SWITCHBOARD, OPERATOR} == SPEAKERS


def test_the_shipped_roster_goes_from_qualifier_to_advisor_to_closer() -> None:
    roster = default_roster()

    assert roster.first == "qualifier"
    assert {name: each.hands_to for name, each in roster.agents.items()} == {
        "qualifier": ("advisor",),
        "advisor": ("closer",),
        "closer": (),
    }


def test_the_shipped_agents_have_the_voices_and_functions_of_the_specification() -> None:
    agents = default_roster().agents

    assert {name: each.voice for name, each in agents.items()} == {
        "qualifier": "aura-2-mars-en",
        "advisor": "aura-2-thalia-en",
        "closer": "aura-2-vesta-en",
    }
    assert {name: [function.name for function in each.functions] for name, each in agents.items()} == {
        "qualifier": ["handoff_to_next_agent", "end_conversation"],
        "advisor": ["handoff_to_next_agent", "end_conversation"],
        "closer": ["schedule_followup", "record_satisfaction", "end_conversation"],
    }


def test_voices_can_be_changed_by_name_and_an_empty_one_changes_nothing() -> None:
    agents = roster_from(SHIPPED, voices={"advisor": "aura-2-luna-en", "closer": "", "closr": "aura-2-luna-en"}).agents

    assert (agents["advisor"].voice, agents["closer"].voice) == ("aura-2-luna-en", "aura-2-vesta-en")


def test_a_problem_names_file_and_field() -> None:
    broken = ModuleType("agents.advisor")
    broken.__file__ = advisor.__file__
    vars(broken)["AGENT"] = attrs.evolve(advisor.AGENT, voice=" ")

    with pytest.raises(RosterError) as refused:
        load_roster(["agents.qualifier", broken, "agents.closer"])

    assert str(refused.value) == (
        "agents/advisor.py: voice: ' ' is not a voice of Deepgram's, such as aura-2-luna-en, or cartesia/MODEL/VOICE"
    )
    (problem,) = refused.value.problems
    assert (problem.file, problem.field) == (str(Path("agents", "advisor.py")), "voice")


def test_a_transfer_without_anybody_to_reach_is_refused_with_what_is_missing() -> None:
    refused = refusal(attrs.evolve(ALONE, functions=(transfer_to_human(), END_CONVERSATION)))

    assert "functions.transfer_to_human: nobody can be reached: set TRANSFER_PHONE_NUMBER" in refused


def test_a_transfer_to_a_number_of_its_own_needs_no_other() -> None:
    roster = load_roster([attrs.evolve(ALONE, functions=(transfer_to_human("+15559870000"), END_CONVERSATION))])

    assert roster.agents["alone"].function("transfer_to_human") is not None


@pytest.mark.parametrize("human", [False, True])
def test_the_shipped_agents_offer_a_person_where_there_is_one(human: bool) -> None:
    agents = default_roster(human=human).agents.values()

    assert {agent.function("transfer_to_human") is not None for agent in agents} == {human}
    assert {"A person can be reached" in agent.prompt for agent in agents} == {human}


def test_every_problem_is_reported_at_once() -> None:
    refused = refusal(attrs.evolve(ALONE, voice="", prompt=" ", greeting=""))

    assert [line.split(": ")[1] for line in refused.splitlines()] == ["voice", "prompt", "greeting"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "The Boss"}, "name: 'The Boss' must be a lower-case word"),
        ({"prompt": "x" * 25_001}, "prompt: is 25001 characters"),
        ({"prompt": "x" * 24_000}, "prompt: is 24000 characters, with the largest Brief 33"),
        ({"greeting": "Hi {name}."}, "greeting: needs a last line without blanks"),
        ({"greeting": "Hi {age}.\nHi."}, "greeting: {age} is not a blank; there are name, topic"),
        ({"greeting": "Hi {name."}, "greeting: cannot be read"),
        ({"greeting": "Hi {name:q}.\nHi."}, "greeting: {name:q} is not a blank; there are name, topic"),
        ({"greeting": "Hi {name!r:>{topic}}.\nHi."}, "greeting: {name!r:>{topic}} is not a blank"),
        ({"greeting": "Hi \ud83d."}, "greeting: has half a character in it, '\\ud83d': write it whole"),
        ({"brief_entries": {"floor": "\ud83d"}}, "brief_entries: has half a character in it"),
        ({"options": AgentOptions(listen_keyterms=("a\udc00",))}, "options.listen_keyterms: has half a character"),
        ({"options": AgentOptions(temperature=math.nan)}, "options.temperature: is nan; write a number"),
        ({"functions": ()}, "functions: the agent can neither end the call nor hand it on"),
        ({"hands_to": ("nobody",)}, "hands_to: there is no agent 'nobody'; there are alone"),
        ({"hands_to": ("alone",)}, "functions: no function leads to 'alone' of hands_to"),
        ({"hands_to": ("alone",)}, "hands_to: an agent cannot hand the call to itself"),
        (
            {"functions": (handoff_to_next_agent("x"), END_CONVERSATION)},
            "functions: a function leads to 'x', and there is no such agent; there are alone",
        ),
        (
            {"functions": (END_CONVERSATION, END_CONVERSATION)},
            "functions.end_conversation: is there 2 times: give each a name of its own, as name=…",
        ),
        (
            {"functions": (END_CONVERSATION, attrs.evolve(SCHEDULE_FOLLOWUP, description="d" * 25_001))},
            "functions.schedule_followup.description: has 25001 characters, more than a whole prompt may have",
        ),
        (
            {"functions": tuple(attrs.evolve(END_CONVERSATION, name=f"end_{number}") for number in range(129))},
            "functions: are 129: no model is given more than 128",
        ),
        ({"options": AgentOptions(temperature=9.0)}, "options.temperature: is 9.0; write a number from 0 to 2"),
        ({"options": AgentOptions(eot_timeout_ms=5)}, "options.eot_timeout_ms: is 5; write a number from 500 to 10000"),
        ({"options": AgentOptions(speak_speed=10**400)}, "options.speak_speed: is 1000"),
        ({"voice": "flux-kit-en", "options": AgentOptions(speak_speed=float("inf"))}, "options.speak_speed: is inf;"),
        ({"voice": "flux-kit-en", "options": AgentOptions(speak_speed=float("nan"))}, "options.speak_speed: is nan;"),
        (
            {"voice": "flux-kit-en", "options": AgentOptions(speak_speed=1.03)},
            "options.speak_speed: is 1.03 (SPEAK_SPEED, if not the agent's own), and the Flux voice flux-kit-en takes",
        ),
        (
            {"voice": "flux-kit-en", "options": AgentOptions(speak_speed=0.6, speak_fallback=("aura-2-luna-en",))},
            "options.speak_speed: is 0.6 (SPEAK_SPEED, if not the agent's own), too slow for the Aura voice aura-2",
        ),
        *(({"voice": name}, f"voice: {name!r} is not a voice of Deepgram's") for name in NO_VOICES),
        *(
            ({"options": AgentOptions(speak_fallback=(name,))}, f"options.speak_fallback: {name!r} is")
            for name in NO_VOICES
        ),
        ({"options": AgentOptions(listen_model="nova 3")}, "options.listen_model: 'nova 3' is not the name of a model"),
        (
            {"options": AgentOptions(listen_language=("en", "german"))},
            "options.listen_language: 'german' is not a lang",
        ),
        ({"options": AgentOptions(listen_keyterms=("Acme", " "))}, "options.listen_keyterms: ' ' is not a word"),
        ({"options": AgentOptions(listen_keyterms=("Acme",) * 101)}, "options.listen_keyterms: are more than 100"),
        ({"options": AgentOptions(reasoning_mode="max")}, "options.reasoning_mode: 'max' is not one of none, minimal"),
        ({"options": AgentOptions(think=())}, "options.think: is empty: leave it out, or name a model"),
        (
            {"options": AgentOptions(think=(ThinkModel("openai", "gpt"),))},
            "options.think: 'openai' is not one of open_",
        ),
        ({"options": AgentOptions(think=(ThinkModel("open_ai", ""),))}, "options.think: '' is not the name of a model"),
        (
            {"options": AgentOptions(think=(ThinkModel("groq", "gpt-oss", Endpoint("http://groq.test/v1")),))},
            "options.think: the URL is not an https:// URL",
        ),
        *(
            ({"options": AgentOptions(think=(ThinkModel("groq", "gpt-oss", endpoint),))}, f"options.think: {problem}")
            for endpoint, problem in (
                (Endpoint("https://groq test"), "the URL is not an https:// URL"),
                (Endpoint("https://groq.test", {"api key": "x"}), "headers: 'api key' is no name of a header"),
                (Endpoint("https://groq.test", {"key": "x\n"}), "headers: the value of key has a letter beyond"),
            )
        ),
        ({"welcome_back": "Hello again, {name}."}, "welcome_back: has a blank in it, and only a greeting has these"),
        ({"introduction": "A call from {name}."}, "introduction: has a blank in it, and only a greeting has these"),
        ({"inbound_prompt": " \n"}, "inbound_prompt: is blank"),
        ({"sentences": Sentences(fillers=())}, "sentences.fillers: is empty: write at least one sentence"),
        ({"sentences": Sentences(fillers=("Hm.", " "))}, "sentences.fillers: is blank: leave it out"),
        ({"sentences": Sentences(apology="Sorry, {name}.")}, "sentences.apology: has a blank in it"),
        (
            {"sentences": Sentences(language="Spanish (Mexico)")},
            "sentences.language: 'Spanish (Mexico)' is no language",
        ),
        ({"greeting": "Hello.\x00"}, "greeting: has a control character in it, '\\x00': leave it out"),
        ({"briefing": "\x1b[31m"}, "briefing: has a control character in it, '\\x1b': leave it out"),
        ({"greeting": "Hi {name}.\n..."}, "greeting: '...' has no word in it: nobody can speak that"),
        ({"inbound_greeting": "🙂"}, "inbound_greeting: '🙂' has no word in it"),
        ({"welcome_back": "?"}, "welcome_back: '?' has no word in it"),
        ({"sentences": Sentences(still_there="…")}, "sentences.still_there: '…' has no word in it"),
        ({"greeting": "a" * 2001}, "greeting: is 2001 characters, and Deepgram speaks 2000 at most"),
        ({"inbound_greeting": f"{{name}} {'b' * 2000}\nHi."}, "inbound_greeting: is 2007 characters, and Deepgram"),
        ({"welcome_back": "a" * 2001}, "welcome_back: is 2001 characters, and Deepgram speaks 2000 at most"),
        (
            {"sentences": Sentences(closing="Bye now. " * 223)},
            "sentences.closing: is 2006 characters, and Deepgram speaks 2000 at most: shorten it by 6",
        ),
        (
            {"sentences": Sentences(press_to_take="一" * 301)},
            "sentences.press_to_take: is 301 characters, and an address takes 300 at most: shorten it by 1",
        ),
        ({"sentences": Sentences(farewells=("tschüss", ""))}, "sentences.farewells: '' has no word in it: nobody says"),
        (
            {"functions": (attrs.evolve(END_CONVERSATION, announced_by=("!",)),)},
            "functions.end_conversation.announced_by: '!' has no word in it",
        ),
        (
            {"functions": (attrs.evolve(END_CONVERSATION, announced_by=("I can end this",)),)},
            "functions.end_conversation.announced_by: 'I can end this' has 'can' in it, as offers and refusals have",
        ),
        (
            {"sentences": Sentences(passing_on=("ich verbinde Sie, wait until then",))},
            "sentences.passing_on: 'ich verbinde Sie, wait until then' has 'until' in it",
        ),
        ({"options": AgentOptions(listen_model="")}, "options.listen_model: '' is not the name of a model"),
        ({"options": AgentOptions(reasoning_mode="")}, "options.reasoning_mode: '' is not one of none, minimal"),
        ({"sentences": Sentences(language="multi")}, "sentences.language: 'multi' is no language of Twilio's"),
        ({"sentences": Sentences(voicemail="  ")}, "sentences.voicemail: is blank: leave it out"),
        ({"sentences": Sentences(waits=cast("Any", "moment"))}, "sentences.waits: is 'moment'; write waits=(…,)"),
        ({"sentences": Sentences(busy=cast("Any", None))}, "sentences.busy: is None; write some text in quotes"),
        ({"sentences": {"busy": "Full."}}, "sentences: is {'busy': 'Full.'}; write Sentences(…)"),
        ({"hands_to": "alone"}, "hands_to: is 'alone'; write hands_to=(…,), with the comma at its end"),
        ({"functions": END_CONVERSATION}, "functions: is FunctionSpec end_conversation; write functions=(…,), with"),
        ({"functions": [answer]}, "functions: has function answer in it; write FunctionSpec(…)"),
        ({"voice": None}, "voice: is None; write some text in quotes"),
        ({"offers_human": "no"}, "offers_human: is 'no'; write True or False"),
        ({"brief_entries": ("floor",)}, "brief_entries: is ('floor',); write a dict of texts"),
        ({"brief_entries": {"floor": 3}}, "brief_entries: is {'floor': 3}; write a dict of texts"),
        ({"options": {"temperature": 1}}, "options: is {'temperature': 1}; write AgentOptions(…)"),
        ({"options": AgentOptions(listen_keyterms=cast("Any", "Acme"))}, "options.listen_keyterms: is 'Acme'; write"),
        ({"options": AgentOptions(eot_timeout_ms=cast("Any", True))}, "options.eot_timeout_ms: is True; write a whole"),
        ({"options": AgentOptions(think=cast("Any", ("gpt",)))}, "options.think: has 'gpt' in it; write ThinkModel(…)"),
    ],
)
def test_an_agent_that_cannot_work_is_refused(changes: dict[str, object], problem: str) -> None:
    assert f"agent {changes.get('name', 'alone')!r}: {problem}" in refusal(
        AgentSpec(**{**attrs.asdict(ALONE, recurse=False), **changes})
    )


def test_phrases_of_callers_may_have_any_words_and_marks() -> None:
    ours = Sentences(
        courtesies=("¿de verdad?", "can do"), farewells=("Tschüss. Bis bald",), waits=("can you wait. Yes",)
    )

    assert load_roster([attrs.evolve(ALONE, sentences=ours)]).first == "alone"


@pytest.mark.parametrize("managed", [False, True])
def test_only_models_at_an_endpoint_of_their_own_take_a_prompt_of_any_length(managed: bool) -> None:
    own = ThinkModel("open_ai", "ours", Endpoint("https://models.test/v1"))
    models = (own, ThinkModel("open_ai", "gpt-4o-mini")) if managed else (own,)
    agent = attrs.evolve(ALONE, prompt="x" * 60_000, options=AgentOptions(think=models))

    if managed:
        assert "prompt: is 60000 characters" in refusal(agent)
    else:
        assert load_roster([agent]).first == "alone"


@attrs.frozen(kw_only=True)
class Noted(AgentSpec):
    notes: list[Any]
    limits: Mapping[str, Any]


def test_an_agent_of_a_class_of_ones_own_may_have_anything_beside() -> None:
    own = Noted(**attrs.asdict(ALONE, recurse=False), notes=["call back"], limits={"EUR": 5})

    assert load_roster([own]).agents["alone"] == own


@attrs.frozen
class Described:
    reason: Annotated[str, "Why \ud83d"]


Sized = attrs.make_class("Sized", {"größe": attrs.field(type=int)}, frozen=True)


@attrs.frozen
class Unspeakable:
    when: object


FUNCTION = FunctionSpec("act", "Acts.", HandoffArguments, answer)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (
            attrs.evolve(FUNCTION, handler=cast("Handler", not_awaitable)),
            "functions.act.handler: is no async function: write async def not_awaitable(arguments, context), or put",
        ),
        (
            attrs.evolve(FUNCTION, handler=of_one_value),
            "functions.act.handler: takes (arguments), and is given two values: write async def of_one_value(",
        ),
        (
            attrs.evolve(FUNCTION, handler=of_names_only),
            "functions.act.handler: takes (*, arguments, context), and is given two values: write async def of_names_",
        ),
        *(
            (
                attrs.evolve(FUNCTION, handler=cast("Any", yields)),
                "functions.act.handler: has a yield in it: return one",
            )
            for yields in (one_after_the_other, blocks_one_after_the_other, Yielding(), partial(one_after_the_other))
        ),
        (
            attrs.evolve(FUNCTION, handler=lambda _, context: answer(HandoffArguments("x"), context)),
            "functions.act.handler: is no async function: write async def act(arguments, context), or put",
        ),
        (
            attrs.evolve(FUNCTION, handler=cast("Any", "act")),
            "functions.act.handler: is 'act'; write the name of a function, without a call",
        ),
        (attrs.evolve(FUNCTION, deadline=cast("Any", "6")), "functions.act.deadline: is '6'; write a number"),
        (attrs.evolve(FUNCTION, arguments=cast("Any", {})), "functions.act.arguments: is {}; write a class"),
        (attrs.evolve(FUNCTION, deadline=math.nan), "functions.act.deadline: is nan; write a number"),
        (attrs.evolve(FUNCTION, description="\ud83d"), "functions.act.description: has half a character in it"),
        (attrs.evolve(FUNCTION, human="911"), "functions.act.human: '911' is not a phone number: write + and 7 to 15"),
        (attrs.evolve(FUNCTION, arguments=Described), "functions.act.arguments.reason: cannot be written as JSON: "),
        (attrs.evolve(FUNCTION, name="do it!"), "functions.do it!: the name may have letters"),
        (attrs.evolve(FUNCTION, description=" "), "functions.act.description: is empty"),
        (attrs.evolve(FUNCTION, deadline=0), "functions.act.deadline: must be more than 0 seconds"),
        (attrs.evolve(FUNCTION, deadline=math.inf), "functions.act.deadline: must be more than 0 seconds, and end"),
        (attrs.evolve(FUNCTION, arguments=Sized), "functions.act.arguments.größe: is a name that not every LLM takes"),
        (attrs.evolve(FUNCTION, arguments=Unspeakable), "functions.act.arguments.when: must be str, int"),
        (attrs.evolve(FUNCTION, arguments=int), "functions.act.arguments: int is not an attrs class"),
    ],
)
def test_a_function_that_cannot_work_is_refused(function: FunctionSpec, problem: str) -> None:
    assert f"agent 'alone': {problem}" in refusal(attrs.evolve(ALONE, functions=(function, END_CONVERSATION)))


@attrs.frozen
class Till:
    """A handler with fields of types that no spec has, one of them written as text."""

    method: Literal["GET", "POST"] = "POST"
    prices: dict[str, float] = attrs.field(factory=dict)
    late: "Till | None" = None

    async def __call__(self, arguments: HandoffArguments, context: CallContext) -> Outcome:
        return Answer("ok")


@attrs.frozen
class Clerk(AgentSpec):
    """An agent with such fields."""

    shifts: dict[str, tuple[int, int]] = attrs.field(factory=dict, kw_only=True)
    style: 'Literal["short", "long"]' = attrs.field(default="short", kw_only=True)


@pytest.mark.parametrize(
    "function",
    [
        attrs.evolve(FUNCTION, handler=Till()),
        http_function("act", "Acts.", "{ACME_URL}/acts", arguments=HandoffArguments, method="POST"),
    ],
)
def test_only_fields_of_ours_are_looked_into(function: FunctionSpec) -> None:
    fields = attrs.asdict(attrs.evolve(ALONE, functions=(function, END_CONVERSATION)), recurse=False)

    assert load_roster([Clerk(**fields, shifts={"monday": (8, 17)})]).agents["alone"].function("act") is function
    assert "voice: is 3; write some text in quotes" in refusal(Clerk(**{**fields, "voice": 3}))


def test_a_name_that_leads_nowhere_is_told_once() -> None:
    refused = refusal(attrs.evolve(agent("one", to=("two",)), hands_to=("tow",)), agent("two", ends=True))

    led = refusal(attrs.evolve(agent("one", to=("tow",)), hands_to=("two",)), agent("two", ends=True))

    assert refused == "agent 'one': hands_to: there is no agent 'tow'; there are one, two"
    assert led == "agent 'one': functions: a function leads to 'tow', and there is no such agent; there are one, two"


def test_two_agents_of_one_name_are_refused() -> None:
    assert refusal(ALONE, ALONE) == "agent 'alone': name: 'alone' is the name of another agent, in agent 'alone'"


def test_a_circle_in_which_nobody_can_end_the_call_is_refused() -> None:
    refused = refusal(
        agent("a", to=("b", "out"), ends=True), agent("b", to=("c",)), agent("c", to=("b",)), agent("out", ends=True)
    )

    assert refused == "agent 'b': hands_to: b -> c -> b: nobody in this circle can end the call: add END_CONVERSATION"


def test_each_circle_is_told_once_however_many_agents_are_in_it_or_lead_into_it() -> None:
    ring = [agent(f"a{number}", to=(f"a{(number + 1) % 12}",)) for number in range(12)]
    ways_in = [agent(f"in{number}", to=("a5",)) for number in range(3)]
    start = agent("start", to=("in0", "in1", "in2", "left", "out"))
    two = [agent("left", to=("right",)), agent("right", to=("left",))]

    told = refusal(start, *ways_in, *ring, *two, agent("out", ends=True)).splitlines()

    circle = " -> ".join(f"a{number % 12}" for number in range(5, 18))
    assert told == [
        f"agent 'a5': hands_to: {circle}: nobody in this circle can end the call: add END_CONVERSATION",
        "agent 'left': hands_to: left -> right -> left: nobody in this circle can end the call: add END_CONVERSATION",
    ]


def test_a_circle_with_a_way_out_is_taken() -> None:
    assert load_roster([agent("a", to=("b",)), agent("b", to=("a",), ends=True)]).first == "a"


def test_an_agent_that_nobody_reaches_is_refused() -> None:
    assert "agent 'b': name: no agent hands to 'b'" in refusal(agent("a", ends=True), agent("b", ends=True))


def test_what_is_no_agent_is_refused() -> None:
    for odd in (None, 3):
        with pytest.raises(RosterError, match=f"{odd} is no agent: write an AgentSpec, a module, or its name"):
            load_roster([cast("Any", odd)])


def test_an_empty_roster_is_refused() -> None:
    assert refusal() == "roster: ROSTER: has no agents: list them, such as ROSTER = ('.front_desk',)"


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(RosterError, match=r"agents\.nobody: import: cannot be imported"):
        load_roster(["agents.nobody"])


def test_a_module_without_an_agent_is_refused() -> None:
    with pytest.raises(RosterError, match=r"agents.phone\.py: AGENT: the module has no AgentSpec"):
        load_roster(["agents.phone"])


def test_a_module_from_elsewhere_is_named_by_its_own_file() -> None:
    with pytest.raises(RosterError, match=r"^elsewhere\.py: AGENT"):
        load_roster([ModuleType("elsewhere")])


def test_a_fourth_agent_is_one_file_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("agents.billing")
    joining = {"advisor": "the customer asks about an invoice"}
    vars(module)["AGENT"] = attrs.evolve(agent("billing", ends=True), joins_from=joining)
    monkeypatch.setitem(sys.modules, "agents.billing", module)

    agents = load_roster([*ROSTER, "agents.billing"]).agents

    assert agents["advisor"].hands_to == ("closer", "billing")
    added = agents["advisor"].function("handoff_to_billing")
    assert added is not None
    assert added.leads_to == "billing"
    assert "the customer asks about an invoice" in added.description


def test_joining_from_nobody_is_refused() -> None:
    assert "agent 'alone': joins_from: there is no agent 'boss'" in refusal(
        attrs.evolve(ALONE, joins_from={"boss": "x"})
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("AGENT = (", r"line 1: syntax error: '\(' was never closed"),
        ("AGENT = None\ndef broken(:", r"line 2: syntax error: "),
        ("AGENT = AgentSpec()", r"line 1: cannot be imported: NameError: name 'AgentSpec' is not defined"),
        ("from agents.spec import AgentSpec\nAGENT = AgentSpec()", r"line 2: cannot be imported: TypeError: "),
        ("import agents.nowhere", r"line 1|import: cannot be imported: ModuleNotFoundError"),
        ("int('ten')", r"line 1: cannot be imported: ValueError: "),
        ("{}['key']", r"line 1: cannot be imported: KeyError: 'key'"),
        ("raise RuntimeError('no key')", r"line 1: cannot be imported: RuntimeError: no key"),
        ("open('/nowhere/prices.csv')", r"line 1: cannot be imported: FileNotFoundError: "),
    ],
)
def test_a_mistake_in_an_agents_module_is_told_with_its_line(
    source: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent_with_a_mistake.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "agent_with_a_mistake", raising=False)

    with pytest.raises(RosterError, match=told):
        load_roster(["agent_with_a_mistake"])


# Soft edges


def test_an_edge_is_soft_where_it_says_so() -> None:
    roster = load_roster([agent("one", to=(soft("two"), "three")), agent("two", ends=True), agent("three", ends=True)])
    one = roster.agents["one"]

    assert one.hands_to == ("two", "three")
    assert [one.hands_softly_to(name) for name in ("two", "three", "four")] == [True, False, False]


def test_an_agent_may_join_softly() -> None:
    guest = attrs.evolve(agent("guest", ends=True), joins_from={soft("alone"): "they ask for it"})
    host = load_roster([ALONE, guest]).agents["alone"]

    assert host.hands_softly_to("guest")
    assert host.function("handoff_to_guest") is not None


def test_a_soft_edge_leads_to_an_agent_that_there_is() -> None:
    assert "hands_to: there is no agent soft('nobody'); there are one" in refusal(agent("one", to=(soft("nobody"),)))


def test_an_edge_is_soft_or_hard_and_not_both() -> None:
    one = attrs.evolve(agent("one", to=("two",)), hands_to=("two", soft("two")))

    assert refusal(one, agent("two", ends=True)) == (
        "agent 'one': hands_to: 'two' is there more than once: write it plain or as soft('two')"
    )


def test_an_agent_joins_where_nobody_has_named_it() -> None:
    two = attrs.evolve(agent("two", ends=True), joins_from={"one": "they ask for it"})

    assert "hands_to: 'two' is there more than once: leave it out there, or in its joins_from" in refusal(
        agent("one", to=("two",)), two
    )


@pytest.mark.parametrize(
    "options",
    [AgentOptions(listen_model="nova-3"), AgentOptions(listen_keyterms=("Acme",)), AgentOptions(mip_opt_out=True)],
)
def test_two_agents_on_one_session_listen_alike(options: AgentOptions) -> None:
    two = attrs.evolve(agent("two", ends=True), options=options)
    (name,) = (name for name, value in attrs.asdict(options).items() if value is not None)

    assert refusal(agent("one", to=(soft("two"),)), two) == (
        f"agent 'one': hands_to: soft('two'): {name} cannot change on one session: write 'two', or the same"
    )
    assert load_roster([agent("one", to=("two",)), two])


def test_two_agents_on_one_session_may_think_and_speak_as_they_like() -> None:
    two = attrs.evolve(agent("two", ends=True), options=AgentOptions(temperature=0.2, speak_speed=1.1))

    assert load_roster([agent("one", to=(soft("two"),)), two])


# Back


def test_an_agent_that_can_only_hand_back_is_no_dead_end() -> None:
    guest = attrs.evolve(ALONE, name="guest", functions=(hand_back(),))
    roster = load_roster([agent("host", to=("guest",), ends=True), guest])

    assert roster.agents["guest"].likely_readers("host") == ("host",)
    assert roster.agents["guest"].likely_readers("") == ()
    assert roster.agents["host"].likely_readers("guest") == ("guest",)


def test_two_agents_that_hand_the_call_to_and_fro_for_ever_are_a_circle() -> None:
    guest = attrs.evolve(ALONE, name="guest", functions=(hand_back(),))

    assert "nobody in this circle can end the call" in refusal(agent("host", to=("guest",)), guest)


def test_an_agent_that_nobody_hands_to_can_hand_back_to_nobody() -> None:
    first = attrs.evolve(ALONE, functions=(END_CONVERSATION, hand_back()))

    assert refusal(first) == "agent 'alone': functions: nobody hands to 'alone': there is nobody to hand back to"
