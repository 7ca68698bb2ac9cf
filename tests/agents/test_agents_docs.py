"""The Python in the guides for authors is run, block by block, as a reader would."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (?P<package>\w+)/(?P<module>\w+)\.py\n")


@pytest.mark.parametrize("guide", ["prompts.md", "functions.md"])
def test_the_code_in_a_guide_runs_as_it_stands(guide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ModuleType(guide.removesuffix(".md"))
    blocks = BLOCK.findall((DOCS / guide).read_text(encoding="utf-8"))

    for number, block in enumerate(blocks, 1):
        space = page
        if named := FILE.match(block):
            space = ModuleType(f"{named['package']}.{named['module']}")
            monkeypatch.setitem(sys.modules, space.__name__, space)
        exec(compile(block, f"{guide}, block {number}", "exec"), vars(space))  # noqa: S102 our own pages

    assert len(blocks) >= 5
