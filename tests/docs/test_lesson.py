"""The lesson says what its programs do: figures, pictures, exercises and links."""

import re
from pathlib import Path

import pytest

from docs.lesson.draw import FOLDER, HANDOFF, pictures, watch
from docs.lesson.exercises import EXERCISES, Exercise, play
from docs.lesson.promises import PROMISES
from docs.lesson.runners import Fault
from docs.lesson.sweep import VERSIONS, Result, sweep_named, table
from tests.docs.pages import ROOT, source_of

LESSON = Path(__file__).parents[2] / "docs" / "lesson"
PAGES = sorted(LESSON.glob("*.md"))


def test_the_pictures_are_drawn_from_what_runs() -> None:
    drawn = pictures()

    assert {path.name for path in FOLDER.glob("*.svg")} == set(drawn)
    for name, picture in drawn.items():
        assert (FOLDER / name).read_text() == picture, "run: python -m docs.lesson.draw"


def test_the_second_session_changes_its_parent_at_the_commit() -> None:
    looks = {look.title.partition(":")[0]: look for look in watch("comes", Fault("", 0), HANDOFF)}

    depth = {title: {task.name: task.depth for task in look.tasks} for title, look in looks.items()}
    assert depth["Preparing"]["the second agent's session"] == 2
    assert depth["Commit"]["the second agent's session"] == 1
    assert {task.name for task in looks["Commit"].tasks if task.is_cancelled} >= {"the first agent's session"}


def test_the_first_page_is_short() -> None:
    assert len((LESSON / "README.md").read_text().split()) < 900


def test_every_page_has_words_for_forty_five_minutes_at_the_most() -> None:
    words = sum(len(page.read_text().split()) for page in PAGES)

    assert words < 45 * 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_lesson_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        file, anchor = target
        if file.startswith("http"):
            continue
        path = (page.parent / file) if file else page
        assert path.exists(), file
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


CLAIM = re.compile(r"`(?P<code>[^`]+)` (?:around the start, )?in `(?P<path>[^`]+)`(?: \(`(?P<name>[^`]+)`\))?")


def test_each_rule_names_a_line_that_is_there() -> None:
    claims = [match.groupdict() for match in CLAIM.finditer((LESSON / "rules.md").read_text())]

    assert len(claims) == 9
    for claim in claims:
        path = ROOT / claim["path"]
        source = source_of(path, claim["name"]) if claim["name"] else path.read_text()
        parts = [re.escape(part) for part in claim["code"].split("...")]
        assert re.search(".*".join(parts), source), claim


def test_the_page_lists_the_exercises_there_are() -> None:
    page = (LESSON / "exercises.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([\w, ]+) \|", page, re.MULTILINE)

    assert {int(number): frozenset(breaks.split(", ")) for number, breaks in rows} == {
        number: exercise.breaks for number, exercise in enumerate(EXERCISES, start=1)
    }
    assert all(exercise.breaks <= set(PROMISES) for exercise in EXERCISES)


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.title)
def test_an_exercise_breaks_what_it_says(exercise: Exercise) -> None:
    assert frozenset(play(exercise).counts) == exercise.breaks


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {name: sweep_named(name) for name in VERSIONS}


@pytest.mark.slow
def test_the_table_is_what_the_sweep_prints(results: dict[str, Result]) -> None:
    shown = re.search(r"<!-- sweep -->\n```text\n(.*?)\n```", (LESSON / "README.md").read_text(), re.DOTALL)

    assert shown is not None
    assert shown[1] == table(results)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_scopes_break_nothing_in_any_order_of_the_scheduler(seed: int) -> None:
    result = sweep_named("scopes", seed)

    assert result.runs > 2000
    assert result.counts == {}


def test_one_corner_of_the_sweep_by_default() -> None:
    """The whole sweep is slow; this is where each version breaks first, and where the scopes do not."""
    from docs.lesson import flags, scopes, task_group
    from docs.lesson.promises import broken
    from docs.lesson.runners import run_asyncio, run_trio

    assert "heard" in dict(broken(run_asyncio(flags.call, "comes", Fault("withdraw", 13))))
    assert "heard" in dict(broken(run_asyncio(task_group.call, "comes", Fault("withdraw", 17))))
    for step in range(1, 60):
        assert dict(broken(run_trio(scopes.call, "comes", Fault("withdraw", step)))) == {}
