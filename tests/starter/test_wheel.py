"""With nothing but the wheel, in an empty folder: a new project passes its tests, is demonstrated, and takes a call."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or ""
pytestmark = [pytest.mark.real_time, pytest.mark.skipif(not UV, reason="needs uv, which builds the wheel")]
SHIPPED = "{'agents.qualifier', 'agents.advisor', 'agents.closer', 'agents.company'}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it where Python looks first."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--wheel", "-q", "-o", folder], cwd=ROOT, check=True)  # noqa: S603 - our own build
    (built,) = folder.glob("*.whl")
    zipfile.ZipFile(built).extractall(folder / "site")
    return folder / "site"


@pytest.fixture(params=["with the extra demo", "without"])
def voices(request: pytest.FixtureRequest, wheel: Path) -> Iterator[str]:
    """Whether espeak-ng is installed; a module that is None in `sys.modules` cannot be imported or found."""
    without = wheel / "sitecustomize.py"
    if request.param == "without":
        without.write_text("import sys\nsys.modules['espeakng_loader'] = sys.modules['trustme'] = None\n")
    yield request.param
    without.unlink(missing_ok=True)


def spent_by_others() -> float:
    """Return the processor's seconds of the processes that we have waited for."""
    spent = os.times()
    return spent.children_user + spent.children_system


def run(wheel: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environ |= {"PYTHONPATH": str(wheel), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environ, text=True, capture_output=True, check=False)  # noqa: S603


def test_a_new_project_passes_its_tests_and_is_demonstrated(wheel: Path, voices: str, tmp_path: Path) -> None:
    began = spent_by_others()
    made = run(wheel, tmp_path, "-m", "cli", "new", "acme")
    tested = run(wheel, tmp_path / "acme", "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist")
    took = spent_by_others() - began
    played = run(wheel, tmp_path / "acme", "-m", "cli", "demo", "--speed", "4")

    assert (made.returncode, made.stderr) == (0, "")
    assert "3 passed" in tested.stdout
    assert "The call went as its scenario says." in played.stdout
    assert played.returncode == 0
    notice = "espeak-ng is not installed: voices are hums; pip install 'switchboard-voice[demo]'"
    expected = 0 if voices == "with the extra demo" else 1
    assert (tested.stdout.count(notice), played.stdout.count(notice)) == (expected, expected)
    assert took < 30


def test_no_shipped_agent_is_loaded_and_nothing_comes_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    run(wheel, tmp_path, "-m", "cli", "new", "acme")
    code = (
        "import sys, agents.roster; from pathlib import Path; from demo.options import DemoOptions\n"
        "from demo.run import main; from settings import environment\n"
        f"assert Path(agents.roster.__file__).is_relative_to({str(wheel)!r})\n"
        "main(DemoOptions(speed=20.0, out=Path('out'), environ=environment()))\n"
        f"print(sorted({SHIPPED} & set(sys.modules)))\n"
    )

    played = run(wheel, tmp_path / "acme", "-c", code)

    assert played.stdout.splitlines()[-1:] == ["[]"], played.stderr


def test_a_new_project_is_typed_strictly_against_what_is_installed(wheel: Path, tmp_path: Path) -> None:
    run(wheel, tmp_path, "-m", "cli", "new", "acme")

    checked = run(wheel, tmp_path / "acme", "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "acme", "tests")

    assert checked.stdout.startswith("Success: no issues found"), checked.stdout
