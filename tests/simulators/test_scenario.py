"""Scenario files: what they may say, how a mistake is explained, and that the shipped ones can be played."""

from pathlib import Path

import attrs
import orjson
import pytest

from agents.functions import ArgumentsRefused
from agents.roster import default_roster
from simulators import toml_reader
from simulators.scenario import (
    ENDINGS,
    CallerLine,
    Human,
    Scenario,
    ScenarioError,
    ScriptedCall,
    load_scenario,
    parse_scenario,
    shipped_scenarios,
)
from simulators.speech import synthesise
from store.records import ANSWERED
from testkit import conversation, hangs_up

WHOLE = """
name = "small"
description = "One question."
faults = ["deepgram: drop after 8 s", "groq: hang"]

[caller]
voice = "caller-2"
number = "+491701234567"
patience = 4
hangs_up = false
answers = "machine"

[[caller.line]]
says = "Five, please."
pause = 1.0
[[caller.line]]
says = "Wait!"
barge_in = 1.2
[[caller.line]]
digits = "1#"
[[caller.line]]
silent = 20
[[caller.line]]
hangs_up = true
after = 0.3

[human]
answers = "human"
after = 4
presses = "2"
hangs_up_after = 9.5
says = "Hello, this is Kim."
talks = 6
caller_waits = 20
voice = "person-2"

[agents.closer]
prompt_contains = "closer"
fallback = ["Pardon?"]
[[agents.closer.turn]]
hears = "five"
says = ["Thank you."]
calls = [{ name = "record_satisfaction", arguments = { rating = 5 } }]
then = ["Goodbye!"]
then_calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]
on_error = ["Sorry."]
"""


def test_the_endings_of_a_scenario_are_the_outcomes_of_an_answered_call() -> None:
    assert ENDINGS == ANSWERED  # a list of its own: the simulators see the protocol only


@pytest.mark.parametrize("ends", ENDINGS)
def test_a_scenario_may_end_as_any_answered_call(ends: str) -> None:
    assert parse_scenario(f'ends = "{ends}"\n{WHOLE}').ends == ends
    assert conversation(hangs_up(), ends=ends).ends == ends


@pytest.mark.parametrize(
    ("ends", "told"),
    [("complete", "did you mean 'completed'"), ("caller_hangs_up", "'caller_hung_up'"), ("busy", "; write one of")],
)
def test_a_scenario_ends_as_no_call_would(ends: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=f"ends is '{ends}'.*{told}"):
        parse_scenario(f'ends = "{ends}"\n{WHOLE}')
    with pytest.raises(ScenarioError, match=f"ends is '{ends}'.*{told}"):
        conversation(hangs_up(), ends=ends)


def test_every_key_is_read() -> None:
    scenario = parse_scenario(WHOLE)

    assert (scenario.name, scenario.description) == ("small", "One question.")
    assert [fault.kind for fault in scenario.faults] == ["drop", "hang"]
    caller = scenario.caller
    assert (caller.voice, caller.number, caller.patience) == ("caller-2", "+491701234567", 4.0)
    assert (caller.hangs_up, caller.answers) == (False, "machine")
    assert caller.lines == (
        CallerLine(says="Five, please.", pause=1.0),
        CallerLine(says="Wait!", barge_in=1.2),
        CallerLine(digits="1#"),
        CallerLine(silent=20.0),
        CallerLine(hangs_up=True, after=0.3),
    )
    assert scenario.human == Human("human", 4.0, "2", 9.5, "Hello, this is Kim.", 6.0, 20.0, "person-2")
    closer = scenario.agents["closer"]
    assert (closer.name, closer.prompt_contains, closer.fallback) == ("closer", "closer", ("Pardon?",))
    (turn,) = closer.turns
    assert (turn.hears, turn.says, turn.then, turn.on_error) == ("five", ("Thank you.",), ("Goodbye!",), ("Sorry.",))
    assert turn.calls == (ScriptedCall("record_satisfaction", {"rating": 5}),)
    assert turn.then_calls == (ScriptedCall("end_conversation", {"reason": "task_complete"}),)


def test_an_empty_scenario_is_a_caller_who_says_nothing() -> None:
    scenario = parse_scenario("", name="nothing")

    assert (scenario.name, scenario.caller.lines, dict(scenario.agents)) == ("nothing", (), {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[caller", "is not TOML"),
        ("x = " + "[" * 9000, "is not TOML that can be read: too many brackets"),
        ("x = " + "9" * 5000, "is not TOML"),
        (
            "[[agents.a.turn]]\nhears = 'x'\ncalls = [{ name = 'f', arguments = { n = 99999999999999999999 } }]",
            "agents.a.turn[1].calls[1].arguments cannot be sent as JSON: Integer exceeds 64-bit range",
        ),
        ("nmae = 'x'", "nmae is not a key that is known here; did you mean 'name'?"),
        ("name = 3", "name is 3; write some text in quotes"),
        ("caller = 3", "caller is 3; write caller = { name = value }"),
        ("[caller]\npatience = 'long'", "caller.patience is 'long'; write seconds as a number"),
        ("[caller]\npatience = -1", "caller.patience is -1; write seconds as a number"),
        ("[caller]\nhangs_up = 'no'", "caller.hangs_up is 'no'; write true or false"),
        ("[caller]\nnumber = '555 1234'", "caller.number is '555 1234'; write it like '+15551230000'"),
        ("[caller]\nanswers = 'bussy'", "caller.answers is 'bussy'; did you mean 'busy'?"),
        ("[caller]\nline = 'Hello'", "caller.line is not a list of tables; write [[caller.line]]"),
        ("[[caller.line]]\nsays = ''", "caller.line[1].says is ''"),
        ("[[caller.line]]\nsays = '...'", "caller.line[1].says is '...', which nobody can speak; write words"),
        ("[[caller.line]]\nsays = '👍'", "caller.line[1].says is '👍', which nobody can speak; write words"),
        ("[[caller.line]]\nsay = 'Hi'", "caller.line[1].say is not a key that is known here; did you mean 'says'?"),
        ("[[caller.line]]\npause = 1.0", "caller.line[1] does nothing; write exactly one of says, digits, silent"),
        ("[[caller.line]]\nsays = 'a'\ndigits = '1'", "does says and digits; write exactly one"),
        ("[[caller.line]]\nsays = 'a'\npause = 1.0\nbarge_in = 1.0", "caller.line[1].barge_in excludes pause"),
        ("[[caller.line]]\nsays = 'a'\nafter = 1.0", "caller.line[1].after goes with hangs_up"),
        ("[[caller.line]]\ndigits = '1a'", "caller.line[1].digits is '1a'; a phone has 0 to 9, * and #"),
        ("[[caller.line]]\nsays = 'a'\n[[caller.line]]\nfaults = []", "caller.line[2].faults does not belong here"),
        (
            "[agents.a]\nprompt_has = 'x'",
            "agents.a.prompt_has is not a key that is known here; did you mean 'prompt_c",
        ),
        ("[[agents.a.turn]]\nsays = ['x']", 'agents.a.turn[1].hears is missing; write hears = "..."'),
        ("[[agents.a.turn]]\nhears = 'x'", "agents.a.turn[1] answers nothing; write says or calls"),
        ("[[agents.a.turn]]\nhears = 'x'\nsays = 'y'", 'agents.a.turn[1].says is one string; write says = ["..."]'),
        ("[[agents.a.turn]]\nhears = 'x'\nsays = 3", "agents.a.turn[1].says is 3"),
        ("[[agents.a.turn]]\nhears = 'x'\nsays = ['y', 3]", "agents.a.turn[1].says[2] is 3"),
        ("[[agents.a.turn]]\nhears = 'x'\nsays = ['y']\nthen = ['z']", "agents.a.turn[1].then comes after calls"),
        ("[[agents.a.turn]]\nhears = 'x'\ncalls = [{ nane = 'f' }]", "agents.a.turn[1].calls[1].name is missing"),
        ("[human]\nanswers = 'no-anser'", "human.answers is 'no-anser'; did you mean 'no-answer'?"),
        ("[human]\npresses = '12'", "human.presses is '12'; write one key, 0 to 9, * or #, or \"nothing\""),
        ("[human]\nrings = 3", "human.rings is not a key that is known here"),
        ("[human]\nafter = 'soon'", "human.after is 'soon'; write seconds as a number"),
        ("[human]\nanswers = 'busy'\ntalks = 3", "human.talks needs somebody who answers; leave it out"),
        ("faults = ['deepgram: dorp']", "faults fault 'deepgram: dorp': deepgram has no fault 'dorp'; did you mean"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_the_fix(text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse_scenario(text, where="my.toml")

    assert str(refused.value).startswith("my.toml: ")
    assert says in str(refused.value)


def test_a_name_nobody_ships_offers_the_nearest() -> None:
    with pytest.raises(ScenarioError, match="no scenario is called 'sail'; did you mean 'sale'"):
        load_scenario("sail")


def test_a_scenario_is_loaded_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('description = "Mine."', encoding="utf-8-sig")

    assert load_scenario(file).name == "mine"
    assert load_scenario(str(file)).description == "Mine."


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"absent\.toml: cannot be read: No such file or directory$"):
        load_scenario(tmp_path / "absent.toml")


@pytest.mark.parametrize("written", ["\ufeffdescription = 1".encode("utf-16"), 'description = "Zoë"'.encode("latin-1")])
def test_a_file_in_another_encoding_says_what_to_do(written: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(written)

    with pytest.raises(ScenarioError, match=r"mine\.toml: is not UTF-8: save it as UTF-8$"):
        load_scenario(tmp_path / "mine.toml")


def test_a_file_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_reader, "MOST_BYTES", 2**20)

    with pytest.raises(ScenarioError, match=r"^/dev/zero: is longer than 1 MiB$"):
        load_scenario("/dev/zero")


def test_an_agent_is_found_by_its_tag_then_by_its_prompt() -> None:
    scenario = parse_scenario(WHOLE)

    assert scenario.agent_for(["call:CA1", "agent:closer"]) is scenario.agents["closer"]
    assert scenario.agent_for([], "You are the closer.") is scenario.agents["closer"]
    assert scenario.agent_for(["agent:nobody"], "You are lost.") is None


def test_of_two_prompts_the_longer_one_is_the_agents() -> None:
    scenario = parse_scenario(WHOLE)
    begins = dict.fromkeys(scenario.agents, "You are the closer.") | {"closer": "You are the closer. You book."}

    known = attrs.evolve(
        scenario,
        agents={name: attrs.evolve(one, prompt_contains=begins[name]) for name, one in scenario.agents.items()},
    )

    assert known.agent_for([], "You are the closer. You book.") is known.agents["closer"]


def test_the_demo_and_the_hard_cases_are_shipped() -> None:
    assert set(shipped_scenarios()) == {
        "sale", "busy_caller", "refuses_handoff_once", "barges_in", "goes_silent", "comes_back", "hangs_up_in_handoff",
        "rating_nine", "wants_human", "nobody_free", "long_call",
    }  # fmt: skip


@pytest.fixture(params=shipped_scenarios())
def shipped(request: pytest.FixtureRequest) -> Scenario:
    return load_scenario(str(request.param))


def test_a_shipped_scenario_is_described_and_about_the_shipped_agents(shipped: Scenario) -> None:
    roster = default_roster()

    assert shipped.description
    for agent in shipped.agents.values():
        assert shipped.agent_for((), roster.agents[agent.name].prompt) is agent


def test_a_shipped_scenarios_calls_are_accepted_by_the_agents_functions(shipped: Scenario) -> None:
    roster = default_roster(human=True)
    refused = []
    for agent in shipped.agents.values():
        calls = [call for turn in agent.turns for call in (*turn.calls, *turn.then_calls)]
        for call in calls:
            function = roster.agents[agent.name].function(call.name)
            assert function is not None, call.name
            try:
                function.parse(orjson.dumps(call.arguments).decode())
            except ArgumentsRefused:
                refused.append((shipped.name, call.arguments))

    assert refused == ([("rating_nine", {"rating": 9})] if shipped.name == "rating_nine" else [])


def test_a_shipped_handoff_is_a_turn_without_words(shipped: Scenario) -> None:
    turns = [turn for agent in shipped.agents.values() for turn in agent.turns]
    handoffs = [turn for turn in turns if any(call.name == "handoff_to_next_agent" for call in turn.calls)]

    assert all(not turn.says and turn.on_error for turn in handoffs)


@pytest.mark.slow
def test_the_sale_is_a_demo_of_a_minute_or_two_and_the_long_call_of_three() -> None:
    voices = {"qualifier": "aura-2-mars-en", "advisor": "aura-2-thalia-en", "closer": "aura-2-vesta-en"}

    def spoken(name: str) -> float:
        scenario = load_scenario(name)
        lines = [synthesise(line.says, scenario.caller.voice) for line in scenario.caller.lines if line.says]
        answers = [
            synthesise(sentence, voices[agent.name])
            for agent in scenario.agents.values()
            for turn in agent.turns
            for sentence in (*turn.says, *turn.then)
        ]
        return sum(utterance.seconds for utterance in lines + answers)

    assert 60 < spoken("sale") < 90
    assert spoken("long_call") > 180


@pytest.mark.parametrize("key", ["description", "ends", "says", "{}"])
def test_of_a_value_that_is_refused_a_part_is_repeated_and_no_key(key: str, tmp_path: Path) -> None:
    odd = "0123456789abcdef0123456789abcdef" + 2**20 * " y"
    (tmp_path / "odd.toml").write_text(
        f'"{key.format(odd)}" = ["{odd}"]\nends = "{odd}"\n' if key != "ends" else f'ends = "{odd}"\n'
    )
    with pytest.raises(ScenarioError) as refused:
        load_scenario(str(tmp_path / "odd.toml"))

    assert "56789abcdef" not in str(refused.value)
    assert len(str(refused.value)) < 2_000
