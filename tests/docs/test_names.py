"""Names in the product: one for one class, none that an import has to mend; and words that the prose does without."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT

ROOMS = ("protocol", "agents", "actors", "web", "store")
PROSE = ("simulators", "testkit", "demo", "starter", "bench", "tests", "docs")
WIRE_NAMES = {"Settings", "UserStartedSpeaking"}
"""Messages of Deepgram's keep its names. Ours beside them: the settings of the server, and the fact that one came."""
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)
ALIAS = re.compile(rf"^ *from (?:{'|'.join(ROOMS)})\b[^\n]* as \w+$", re.MULTILINE)
RIDDLE = re.compile(r'"""What (?:is|are)\b|\bwhoever\b|\bof whom\b', re.IGNORECASE)


@cache
def texts() -> tuple[str, ...]:
    files = [*ROOT.glob("*.py"), *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    return tuple(file.read_text(encoding="utf-8") for file in files)


def test_no_two_classes_of_the_product_share_a_name() -> None:
    names = Counter(name for text in texts() for name in CLASS.findall(text))

    assert {name for name, count in names.items() if count > 1} == WIRE_NAMES


def test_no_import_renames_what_is_ours() -> None:
    assert [] == [found for text in texts() for found in ALIAS.findall(text)]


def test_docstrings_begin_with_a_subject_and_name_it() -> None:
    paths = [path for room in PROSE for path in (ROOT / room).rglob("*.*") if path != Path(__file__)]
    prose = [path for path in paths if path.suffix in {".py", ".md"}]
    lines = [(path, line) for path in prose for line in path.read_text(encoding="utf-8").splitlines()]
    lines += [(ROOT, line) for text in texts() for line in text.splitlines()]

    assert [] == [(path.name, line) for path, line in lines if RIDDLE.search(line)]
