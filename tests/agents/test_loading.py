"""AGENTS names a package on the path, a folder, or a file; a mistake in it is told with its file and line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.roster import Roster, RosterError, roster_from

AGENT = """\
from agents.functions import END_CONVERSATION, handoff_to_next_agent
from agents.spec import AgentSpec
AGENT = AgentSpec(
    name={name!r}, role="x", prompt="You help.", greeting="Hello.", voice="aura-2-thalia-en",
    functions=({functions} END_CONVERSATION,), hands_to={to!r},
)
"""


def spec(name: str, *to: str) -> str:
    functions = "".join(f"handoff_to_next_agent({each!r}, name='to_{each}'), " for each in to)
    return AGENT.format(name=name, functions=functions, to=to)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of somebody's: a package `shop` in a folder `work`, and what is imported of it forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "shop" / "agents"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text('ROSTER = (".desk", "shop.agents.back")\n')
    (package / "desk.py").write_text(spec("desk", "back"))
    (package / "back.py").write_text(spec("back"))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def names(roster: Roster) -> tuple[str, ...]:
    return tuple(roster.agents)


@pytest.mark.parametrize(
    "source", ["shop.agents", "./shop/agents", "./shop", "./shop/agents/__init__.py", "{}/shop", "{}/shop/agents"]
)
def test_a_roster_is_a_package_a_folder_or_a_file(source: str, project: Path) -> None:
    roster = roster_from([source.format(project)])

    assert (names(roster), roster.first) == (("desk", "back"), "desk")


def test_a_project_that_stands_around_its_package_is_a_folder_too(project: Path) -> None:
    (project / "shop").rename(project / "inner")
    (project / "shop").mkdir()
    (project / "inner").rename(project / "shop" / "shop")

    assert names(roster_from(["./shop"])) == ("desk", "back")


def test_one_file_with_one_agent_is_a_roster(project: Path) -> None:
    (project / "alone.py").write_text(spec("alone"))

    assert names(roster_from(["./alone.py"])) == ("alone",)
    assert names(roster_from(["alone"])) == ("alone",)


def test_a_file_by_itself_has_nothing_beside_it(project: Path) -> None:
    (project / "alone.py").write_text(spec("alone") + "ROSTER = ('.nobody',)")

    with pytest.raises(RosterError, match=r"alone.py: ROSTER: '.nobody': a file by itself has no package"):
        roster_from(["./alone.py"])


def test_agents_may_stand_in_the_roster_itself(project: Path) -> None:
    (project / "both.py").write_text(spec("one", "two") + "ONE = AGENT\n" + spec("two") + "ROSTER = [ONE, AGENT]\n")

    assert names(roster_from(["./both.py"])) == ("one", "two")


def test_no_shipped_agent_is_loaded_for_a_roster_of_ones_own(project: Path) -> None:
    shipped = [f"agents.{name}" for name in ("qualifier", "advisor", "closer", "company")]
    for name in shipped:
        sys.modules.pop(name, None)

    roster_from(["shop.agents"])

    assert not [name for name in shipped if name in sys.modules]


MISTAKES = [
    ("AGENT = (", "shop/agents/desk.py: line 1: syntax error: '(' was never closed"),
    ("import nowhere_to_be_found", "shop/agents/desk.py: line 1: cannot be imported: ModuleNotFoundError"),
    ("import sho", "shop/agents/desk.py: line 1: cannot be imported: ModuleNotFoundError: No module named 'sho'"),
    ("x = 1\nx.no_such_thing", "shop/agents/desk.py: line 2: cannot be imported: AttributeError"),
    ("class Odd(Exception): ...\nraise Odd('x')", "shop/agents/desk.py: line 2: cannot be imported: Odd: x"),
    ("import sys\nsys.exit('bye')", "shop/agents/desk.py: line 2: cannot be imported: SystemExit: bye"),
    (
        "import os\n\nos.environ['NO_SUCH_NAME']",
        "shop/agents/desk.py: line 3: cannot be imported: KeyError: 'NO_SUCH_NAME', which os.environ does not have: ",
    ),
    ("{}['NAME']", "shop/agents/desk.py: line 1: cannot be imported: KeyError: 'NAME'"),
    ("import json\n\njson.loads('{')", "shop/agents/desk.py: line 3: cannot be imported: JSONDecodeError"),
    (
        "from agents.functions import transfer_to_human\ntransfer_to_human('12')",
        "shop/agents/desk.py: line 2: cannot be imported: ValueError: '12' is not a phone number",
    ),
    ("AGENT = None", "shop/agents/desk.py: AGENT: the module has no AgentSpec"),
]


@pytest.mark.parametrize(("source", "told"), MISTAKES, ids=[told.split(": ")[-1] for _, told in MISTAKES])
@pytest.mark.parametrize("named", ["shop.agents", "./shop"])
def test_a_mistake_of_the_user_is_told_with_file_and_line(named: str, source: str, told: str, project: Path) -> None:
    (project / "shop" / "agents" / "desk.py").write_text(source)

    with pytest.raises(RosterError) as refused:
        roster_from([named])

    assert str(refused.value).startswith(told)
    assert ("os.environ" in str(refused.value)) == ("os.environ" in told)


@pytest.mark.parametrize(
    ("source", "roster", "told"),
    [
        (
            "nowhere.agents",
            "",
            "nowhere.agents: import: cannot be imported: ModuleNotFoundError: No module named 'nowhere': check the",
        ),
        ("./nowhere", "", "AGENTS: ./nowhere: there is no folder or file"),
        ("~nobody-of-this-name/acme", "", "AGENTS: ~nobody-of-this-name/acme: nobody's home has this name"),
        ("./empty", "", "AGENTS: ./empty: there is no roster in"),
        ("./agents.json", "", "AGENTS: ./agents.json: a roster is Python: name a package, a folder or a .py file"),
        ("roster.json", "", "AGENTS: roster.json: a roster is Python: name a package, a folder or a .py file"),
        ("shop.agents", "X = 1", "shop/agents/__init__.py: ROSTER: is missing: list the agents"),
        ("shop.agents", "ROSTER = 'desk'", "shop/agents/__init__.py: ROSTER: is no list of agents"),
        ("shop.agents", "ROSTER = (1,)", "shop/agents/__init__.py: ROSTER: is no list of agents"),
        (
            "shop.agents",
            "class Odd(Exception):\n    def __str__(self):\n        1 / 0\nraise Odd",
            "shop/agents/__init__.py: line 4: cannot be imported: Odd: <exception str() failed>",
        ),
        ("shop.agents", "ROSTER = ()", "roster: ROSTER: has no agents: list them"),
        (
            "shop.agents",
            "ROSTER = ('.nobody',)",
            "shop/agents/__init__.py: ROSTER: there is no '.nobody' here; there are '.back', '.broken', '.desk'",
        ),
        (
            "shop.agents",
            "ROSTER = ('.dask',)",
            "shop/agents/__init__.py: ROSTER: there is no '.dask' here; did you mean '.desk'?",
        ),
        (
            "shop.agents",
            "ROSTER = ('desk',)",
            "shop/agents/__init__.py: ROSTER: there is no 'desk' here; did you mean '.desk'?",
        ),
        (
            "shop.agents",
            "ROSTER = ('nowhere.desk',)",
            "nowhere.desk: import: cannot be imported: ModuleNotFoundError: No module named 'nowhere': check the name",
        ),
        ("shop.agents", "ROSTER = ('.team.desk',)", "shop/agents/__init__.py: ROSTER: there is no '.team.desk' here"),
        ("shop.agents", "ROSTER = ('.desk.x',)", "shop/agents/__init__.py: ROSTER: there is no '.desk.x' here"),
        ("shop.agents", "ROSTER = ('.broken.x',)", "shop/agents/broken/__init__.py: line 1: syntax error"),
        ("shop.agents", "ROSTER = ('..x',)", "shop/agents/__init__.py: ROSTER: there is no '..x' here"),
    ],
)
def test_what_is_no_roster_is_told_with_the_fix(source: str, roster: str, told: str, project: Path) -> None:
    (project / "empty").mkdir()
    for name in ("agents.json", "roster.json"):
        (project / name).write_text("[]")
    (project / "shop" / "agents" / "broken").mkdir()
    (project / "shop" / "agents" / "broken" / "__init__.py").write_text("def broken(:")
    (project / "shop" / "agents" / "__init__.py").write_text(roster or 'ROSTER = (".desk",)')

    with pytest.raises(RosterError) as refused:
        roster_from([source])

    assert told in str(refused.value)


def test_a_folder_whose_name_python_knows_already_is_told(project: Path) -> None:
    (project / "json").mkdir()
    (project / "json" / "__init__.py").write_text(spec("alone"))

    with pytest.raises(RosterError, match="rename the folder or file 'json': Python has another package of this name"):
        roster_from(["./json"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("AGENTS_INBOUND = ['desk']", "AGENTS_INBOUND: is no table"),
        ("AGENTS_INBOUND = {'555': 'desk'}", "AGENTS_INBOUND: '555' is not a phone number"),
        ("AGENTS_INBOUND = {'+15551230000': 'dsk'}", "AGENTS_INBOUND: there is no agent 'dsk'; there are back, desk"),
        ("AGENT_INBOUND = {}", "AGENT_INBOUND: is nothing that a roster has: did you mean AGENTS_INBOUND?"),
        ("ENV_PREFIX = ''", "ENV_PREFIX: '' is no prefix of settings"),
        ("ENV_PREFIX = 'shop_'", "ENV_PREFIX: 'shop_' is no prefix of settings"),
        ("ENV_PREFIX = 'TWILIO_'", "ENV_PREFIX: 'TWILIO_' would give the server's own settings to functions"),
        ("DEMO = 'booking.toml'", "DEMO: is no Demo"),
        ("from agents.extras import Demo\nDEMO = Demo(3)", "DEMO: scenario: is 3; write some text in quotes"),
        ("EXTRACT = {}", "EXTRACT: is no class"),
        ("class EXTRACT: ...", "EXTRACT: EXTRACT is not an attrs class"),
        ("def on_call_ended(record): ...", "on_call_ended: is no async function"),
        ("async def on_call_ended(): ...", "on_call_ended: takes (), and is given one value: write async def on_"),
        (
            "async def on_call_end(record): ...",
            "on_call_end: is nothing that a roster has: did you mean on_call_ended?",
        ),
    ],
)
def test_what_a_roster_says_besides_is_checked(said: str, told: str, project: Path) -> None:
    with (project / "shop" / "agents" / "__init__.py").open("a") as roster:
        roster.write(said)

    with pytest.raises(RosterError) as refused:
        roster_from(["shop.agents"])

    assert f"shop/agents/__init__.py: {told}" in str(refused.value)


def test_the_called_number_chooses_who_begins(project: Path) -> None:
    with (project / "shop" / "agents" / "__init__.py").open("a") as roster:
        roster.write("AGENTS_INBOUND = {'+15551230001': 'back'}\n")

    roster_ = roster_from(["shop.agents"])

    assert roster_.beginning("inbound", "+15551230001").first == "back"
    assert roster_.beginning("inbound", "+15551230002").first == "desk"
    assert roster_.beginning("outbound", "+15551230001").first == "desk"
    assert roster_.beginning("outbound", "+15551230001", "back").first == "back"
    assert roster_.beginning("inbound", "+15551230001", "gone since").first == "back"


def test_several_rosters_serve_at_once_and_the_first_of_each_may_begin(project: Path) -> None:
    (project / "sales.py").write_text(spec("seller") + "AGENTS_INBOUND = {'': 'seller'}\n")

    roster = roster_from(["shop.agents", "./sales.py"])

    assert names(roster) == ("desk", "back", "seller")
    assert roster.beginning("outbound", "", "./sales.py").first == "seller"
    assert roster.beginning("inbound", "+15551230000").first == "seller"
    assert roster.beginning("outbound", "").first == "desk"


def test_voices_of_the_settings_are_for_any_roster_and_others_change_nothing(project: Path) -> None:
    roster = roster_from(["shop.agents"], voices={"back": "aura-2-luna-en", "qualifier": "aura-2-mars-en"})

    assert {name: agent.voice for name, agent in roster.agents.items()} == {
        "desk": "aura-2-thalia-en",
        "back": "aura-2-luna-en",
    }


@pytest.mark.parametrize("file", ["__init__.py", "desk.py"])
@pytest.mark.parametrize("source", ["./shop", "shop.agents"])
def test_a_file_in_utf_16_is_told(project: Path, source: str, file: str) -> None:
    """As an editor of Windows saves it: Python tells no file."""
    written = project / "shop" / "agents" / file
    written.write_text(written.read_text(), encoding="utf-16")

    with pytest.raises(RosterError) as told:
        roster_from([source])

    (problem,) = told.value.problems
    assert problem.text == "it has NUL characters, as UTF-16 has: save it as UTF-8"
    assert problem.file == f"shop/agents/{file}"


def test_a_mistake_with_a_whole_file_in_it_is_told_in_short(project: Path) -> None:
    (project / "shop" / "agents" / "__init__.py").write_text("raise ValueError('x' * 100_000)")

    with pytest.raises(RosterError, match=r"line 1: cannot be imported: ValueError: x{400,500}$"):
        roster_from(["shop.agents"])
