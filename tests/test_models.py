"""No default names a model that is gone or soon will be: `vectors/models.json` has what the vendors have announced."""

import json
import re
from pathlib import Path

import pytest

from actors.session.opening import DEFAULTS
from settings import VARIABLES, Settings
from tests.web.fakes import settings

ROOT = Path(__file__).parents[1]
ANNOUNCED = json.loads((ROOT / "tests" / "vectors" / "models.json").read_text())
THINK, GROQ = ANNOUNCED["deepgram_think"], ANNOUNCED["groq"]
RETIRED = {*GROQ["shutdown"], *THINK["openai_shutdowns_unverified_on_official_page"]}
SOURCES = [
    file
    for folder in ("actors", "agents", "demo", "protocol", "store", "web", "bench", ".")
    for file in (ROOT / folder).glob("*.py" if folder == "." else "**/*.py")
]


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=lambda variable: variable.name)
def test_no_setting_begins_with_a_model_that_is_gone(variable: object) -> None:
    default, example = getattr(variable, "default", "") or "", getattr(variable, "example", "")
    names = {part.strip().rpartition("open_ai/")[2] for text in (default, example) for part in text.split(",")}

    assert names & RETIRED == set()


def test_no_source_names_a_model_that_is_gone() -> None:
    quoted = re.compile("|".join(f"[\"'/]{re.escape(name)}[\"',]" for name in sorted(RETIRED)))

    assert [str(file.relative_to(ROOT)) for file in SOURCES if quoted.search(file.read_text())] == []


def test_the_defaults_are_offered_by_their_vendors() -> None:
    chosen = settings()

    assert set(chosen.think_model) <= set(THINK["open_ai"])
    assert all(name in THINK[provider] for provider, name in chosen.think_fallback)
    assert set(chosen.groq_llm) <= set(GROQ["strict_json_schema"])


def test_a_second_model_of_another_vendor_stands_behind_the_first() -> None:
    first, second, *_ = DEFAULTS.think or ()

    assert first.provider != second.provider


def test_the_list_is_the_one_of_the_references() -> None:
    reference = ROOT.parent / "shared" / "reference" / "specs" / "models.json"
    if not reference.exists():
        pytest.skip("the references are not here")

    assert json.loads(reference.read_text()) == ANNOUNCED


def test_every_default_can_be_read() -> None:
    assert isinstance(settings(), Settings)
