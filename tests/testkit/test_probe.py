"""The probe against a scripted endpoint: what is asked, kept, judged, and told. No model has been asked for this."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from agents.roster import default_roster
from setting_reader import SettingsError
from simulators.toml_reader import ScenarioError
from testkit.probe.asking import ProbeError, Prober, read_answer
from testkit.probe.cases import Case, load_cases
from testkit.probe.cassettes import CassetteError, Cassettes, Run
from testkit.probe.command import SHIPPED_CASES, Probe, probe_agents
from testkit.probe.verdict import Price, bounds, judge, judge_all, report
from tests.testkit.chat import ChatAnswer, ChatSimulator
from tests.testkit.mistakes import roster

ROSTER = default_roster()
CASES = load_cases([SHIPPED_CASES], ROSTER)
YES = next(case for case in CASES if case.name == "qualifier hands over on a plain yes")
NO = next(case for case in CASES if case.name == "qualifier does not hand over on no")
FIVE = next(case for case in CASES if case.name == "closer notes a five")
HAND_ON = ("handoff_to_next_agent", {"reason": "wants to save for college"})


def obedient(body: Mapping[str, Any]) -> ChatAnswer:
    said = body["messages"][-1]["content"]
    return ChatAnswer("", [HAND_ON]) if said == "Yes, please." else ChatAnswer("That's fine. Goodbye.")


async def ask(app: ChatSimulator, folder: Path, cases: list[Case], runs: int = 3, key: str = "sk-test") -> None:
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://llm.test/v1/", headers=headers) as http:
        await Prober(http, ROSTER, "tiny-1", Cassettes(folder), runs, lambda _done, _of: None).ask(cases)


def test_the_shipped_agents_have_sixty_cases_and_every_function_has_both_kinds() -> None:
    assert len(CASES) >= 60
    functions = {(agent.name, function.name) for agent in ROSTER.agents.values() for function in agent.functions}
    for expect in ({"must"}, {"must not yet", "must never"}):
        assert functions == {(case.agent, case.function) for case in CASES if case.expect in expect}


async def test_answers_are_kept_and_not_asked_again(autojump_clock: MockClock, tmp_path: Path) -> None:
    app = ChatSimulator(obedient, api_key="sk-test")

    await ask(app, tmp_path, [YES, NO])
    await ask(app, tmp_path, [YES, NO])
    judged = judge_all([YES, NO], ROSTER, "tiny-1", Cassettes(tmp_path), 3)

    assert 6 == len(app.requests)
    assert [(3, ()), (3, ())] == [(each.passed, each.wrong) for each in judged]
    lines = list(report(judged, Cassettes(tmp_path), "tiny-1", 3, Price(1.0, 2.0)))
    assert any("all: 2 cases, pass^1 100%, pass^3 100% (95 %: 34% to 100%)" in line for line in lines)
    assert any("6 answers: 0.30 s in the middle" in line and "in all" in line for line in lines)


async def test_an_interrupted_probe_goes_on(autojump_clock: MockClock, tmp_path: Path) -> None:
    await ask(ChatSimulator(obedient), tmp_path, [YES], runs=2)
    app = ChatSimulator(obedient)

    await ask(app, tmp_path, [YES], runs=5)

    assert 3 == len(app.requests)


async def test_a_busy_endpoint_is_asked_again_and_another_refusal_is_told(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    await ask(ChatSimulator(obedient, refusals=[(429, "2"), (503, "")]), tmp_path, [YES], runs=1)

    with pytest.RaisesGroup(pytest.RaisesExc(ProbeError, match="HTTP 401")):
        await ask(ChatSimulator(obedient, api_key="other"), tmp_path, [NO], runs=1)


@pytest.mark.parametrize(
    ("error", "seconds"), [(httpx.ConnectError, 0), (httpx.DecodingError, 0), (httpx.ReadError, 31), (503, 31)]
)
async def test_an_endpoint_that_cannot_be_asked_is_told_without_a_wait_for_nothing(
    autojump_clock: MockClock, tmp_path: Path, error: type[httpx.RequestError] | int, seconds: float
) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        if isinstance(error, int):
            return httpx.Response(error)
        raise error("it did not work")

    transport, began = httpx.MockTransport(answer), trio.current_time()
    async with httpx.AsyncClient(transport=transport, base_url="http://llm.test/v1/") as http:
        with pytest.RaisesGroup(pytest.RaisesExc(ProbeError, match="did not answer")):
            await Prober(http, ROSTER, "tiny-1", Cassettes(tmp_path), 1, lambda _done, _of: None).ask([YES])

    assert pytest.approx(seconds) == trio.current_time() - began


async def test_a_folder_that_takes_no_cassette_is_told(autojump_clock: MockClock, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.RaisesGroup(pytest.RaisesExc(CassetteError, match=r"yes.json cannot be written: Not a directory")):
        await ask(ChatSimulator(obedient), tmp_path / "file", [YES])


@pytest.mark.parametrize("wrong", [("PROBE_URL", "http://[bad/v1"), ("PROBE_URL", "ftp://x"), ("PROBE_API_KEY", "é")])
def test_an_endpoint_that_is_none_is_told_before_it_is_asked(tmp_path: Path, wrong: tuple[str, str]) -> None:
    environ = {"PROBE_URL": "http://127.0.0.1:9/v1", **dict([wrong])}

    with pytest.raises(SettingsError, match=wrong[0]):
        probe_agents(Probe((), "tiny-1", 1, tmp_path, offline=False, price=None), environ, lambda _line: None)


@pytest.mark.parametrize("change", ["prompt", "case", "function"])
async def test_a_cassette_of_another_prompt_is_stale(autojump_clock: MockClock, tmp_path: Path, change: str) -> None:
    await ask(ChatSimulator(obedient), tmp_path, [YES])
    case, agent = YES, ROSTER.agents["qualifier"]
    if change == "case":
        case = attrs.evolve(YES, said=(*YES.said[:-1], "caller: Oh yes."))
    elif change == "prompt":
        agent = attrs.evolve(agent, prompt=f"{agent.prompt} Be brief.")
    else:
        agent = attrs.evolve(agent, functions=agent.functions[:1])
    roster = attrs.evolve(ROSTER, agents={**ROSTER.agents, "qualifier": agent})

    (judged,) = judge_all([case], roster, "tiny-1", Cassettes(tmp_path), 3)

    assert "has changed since it was asked" in judged.stale


@pytest.mark.parametrize(
    ("case", "run", "wrong"),
    [
        (YES, Run("", (("handoff_to_next_agent", '{"reason": "college"}'),)), ""),
        (YES, Run("Transferring you now."), "it did not call handoff_to_next_agent, but nothing; it said 'Transf"),
        (FIVE, Run("", (("record_satisfaction", '{"rating": 9}'),)), "with arguments that are refused"),
        (FIVE, Run("", (("record_satisfaction", '{"rating": 4}'),)), "with rating=4 in the place of 5"),
        (YES, Run("", (("handoff_to_next_agent", "{reason:"),)), ""),
        (YES, Run("", (("handoff_to_next_agent", "[]"),)), ""),
        (FIVE, Run("", (("record_satisfaction", "{rating:"),)), "with arguments that are refused"),
        (NO, Run("", (("handoff_to_next_agent", "{}"),)), "it called handoff_to_next_agent"),
        (NO, Run("That's fine."), ""),
    ],
)
def test_an_answer_is_judged(case: Case, run: Run, wrong: str) -> None:
    said = judge(case, run, ROSTER)

    assert said.startswith(wrong) or wrong in said
    assert bool(said) is bool(wrong)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"choices": []}', b'{"choices": [{"message": 1}]}', b"<html>"])
def test_what_is_no_completion_is_refused(content: bytes) -> None:
    with pytest.raises(ProbeError, match="no chat completion"):
        read_answer(content, 0.1)


def test_bounds_are_wilsons() -> None:
    assert (0.722, 1.0) == tuple(round(each, 3) for each in bounds(1.0, 10))
    assert (0.237, 0.763) == tuple(round(each, 3) for each in bounds(0.5, 10))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('agent = "desk"', 'agent = "desc"'), "agent is 'desc'"),
        (('expect = "must"', 'expect = "should"'), "expect is 'should'"),
        (('"caller: Yes."', '"agent: Yes?"'), "does not end with the caller"),
        (('"caller: Yes."', '"Yes."'), "begin each line with"),
        (('name = "x"', 'name = "x"\nsays = "y"'), "says is not a key"),
    ],
)
def test_a_case_that_cannot_be_asked_is_refused(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    file = tmp_path / "cases.toml"
    text = '[[case]]\nname = "x"\nagent = "desk"\nfunction = "look_up"\nexpect = "must"\nsaid = ["caller: Yes."]\n'
    file.write_text(text.replace(*change))
    with pytest.raises(ScenarioError, match=why):
        load_cases([file], roster())
