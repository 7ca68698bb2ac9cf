"""The plugin in a project of somebody else's: no conftest, no settings, no pytest-trio."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.slow

TESTS = """
import pytest, trio
from testkit import answers, calls, conversation, play, says
from tests.testkit.mistakes import GOOD, NO_CONSENT, roster

@pytest.fixture
def desk():
    return roster()

async def test_good(desk):
    call = await play(desk, GOOD)
    call.expect_agents("desk", "returns")

@pytest.mark.parametrize("seconds", [1.0, 3600.0])
async def test_time_is_virtual(seconds):
    began = trio.current_time()
    await trio.sleep(seconds)
    assert trio.current_time() - began == seconds

async def test_deadlock():
    await trio.sleep_forever()

async def test_bad(desk):
    await play(desk, NO_CONSENT)

async def test_expectation(desk):
    (await play(desk, GOOD)).expect_heard("<b>never</b>")

def test_plain():
    pass
"""


def run_pytest(folder: Path, *options: str, tests: str = TESTS) -> subprocess.CompletedProcess[str]:
    (folder / "test_calls.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:trio", "-p", "no:hypothesispytest", *options]
    root = Path(__file__).parent.parent.parent
    environ = {"PYTHONPATH": str(root), "PATH": ""}
    return subprocess.run(  # noqa: S603 - the interpreter of this test
        command, check=False, cwd=folder, env=environ, capture_output=True, text=True, timeout=280
    )


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_async_tests_run_under_the_mock_clock_and_failed_calls_are_drawn(
    tmp_path: Path, processes: tuple[str, ...]
) -> None:
    ran = run_pytest(tmp_path, "--calls-report", "calls.html", "--junitxml", "junit.xml", *processes)

    assert "3 failed, 4 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "calls of 3 failed tests: calls.html" in ran.stdout
    assert "handed the call to returns" in ran.stdout
    page = (tmp_path / "calls.html").read_text()
    assert 2 == page.count("<section>") == page.count("data:audio/wav;base64,")
    assert "without the caller&#x27;s consent" in page
    assert "&lt;b&gt;never&lt;/b&gt;" in page
    assert "<b>never" not in page
    junit = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - pytest has written it
    assert {case.get("name") for case in junit.iter("testcase") if case.find("failure") is not None} == {
        "test_deadlock", "test_bad", "test_expectation",
    }  # fmt: skip
    assert not list(junit.iter("property"))


WRONG = """
from pathlib import Path
from testkit import answers, calls, conversation, play, says
from tests.testkit.mistakes import GOOD, roster

async def test_scenario():
    Path("call.toml").write_text("[caller]\\nhang_up = true\\n")
    await play(roster(), "call.toml")

async def test_agent():
    await play(roster(), conversation(says("Hello."), answers("dsek", "Goodbye.")))

async def test_function():
    await play(roster(), conversation(says("Hello."), answers("desk", calls=calls("look_pu"))))

async def test_roster():
    await play("nowhere.agents", GOOD)

async def test_fault():
    await play(roster(), GOOD, ["deepgram: dorp after 8 s"])

async def test_double():
    await play(roster(), GOOD, functions={"lok_up": None})

async def test_own_error():
    async def handler(arguments, context):
        pass
    await handler()
"""


def test_a_mistake_in_a_test_is_told_at_the_line_of_the_test_and_nowhere_else(tmp_path: Path) -> None:
    """The fault is the author's, and so is the place: no frame of the kit's own is shown."""
    ran = run_pytest(tmp_path, "--tb=short", tests=WRONG)

    assert "7 failed" in ran.stdout, ran.stdout + ran.stderr
    places = [line for line in ran.stdout.splitlines() if re.match(r"\S+\.py:\d+: in", line)]
    assert [place.split(":")[0] for place in places] == ["test_calls.py"] * 7
    for told in (
        "call.toml: caller.hang_up is not a key that is known here; did you mean 'hangs_up'?",
        "conversation: agents.dsek: the roster has no such agent; did you mean 'desk'?; there are desk, returns",
        "conversation: agents.desk: it has no function 'look_pu'; did you mean 'look_up'?; there are look_up,",
        "nowhere.agents: import: cannot be imported",
        "'dorp'",
        "no agent has 'lok_up'",
        "TypeError",
    ):
        assert told in ran.stdout


def test_without_the_option_nothing_is_written(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, "-k", "good or plain")

    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("name", ["agents", "store"])
def test_a_package_of_the_project_that_hides_one_of_ours_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")

    done = run_pytest(tmp_path, "-q")

    told = f"{tmp_path / name / '__init__.py'} hides the package '{name}' of Switchboard: give yours another name"
    assert told in done.stdout


def test_a_package_that_is_missing_elsewhere_is_told_as_pytest_does(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-q", tests="import agents.no_such_module")

    assert "No module named 'agents.no_such_module'" in done.stdout
    assert "hides" not in done.stdout
