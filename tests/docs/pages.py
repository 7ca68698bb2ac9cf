"""The pages of the documentation as the tests see them: text, fenced blocks, and the source that a block quotes.

A comment before a block says what it quotes: `<!-- source: PATH NAME -->` one function or class of a Python file by its
qualified name, `<!-- file: PATH -->` a whole file, `<!-- computed: NAME -->` something that `tests.docs.computed` works
out. Nothing here writes; `python -m tests.docs.requote` brings the pages up to date.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.docs import computed

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/design.md",
    "docs/handoff.md",
    "docs/soft-handoff.md",
    "docs/performance.md",
    "docs/phone.md",
    "docs/supervision.md",
    "docs/simulators.md",
    "docs/settings.md",
    "docs/testing.md",
    "docs/lesson/four-handoffs.md",
    "docs/lesson/sweep.md",
    "docs/reference/scenario.md",
    "docs/reference/record.md",
    "docs/reference/journal.md",
)
EVERY_PAGE = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)
_QUOTE = re.compile(
    r"^<!-- (?P<kind>source|file): (?P<path>\S+)(?: (?P<name>\S+))? -->\n```\w+\n(?P<text>.*?)^```$"
    r"|^<!-- computed: (?P<what>\w+) -->\n(?P<table>.*?)^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Quote:
    """One block of a page that must equal something else; `start` and `stop` are where its text stands."""

    what: str
    text: str
    wanted: str
    start: int
    stop: int


def page_text(page: str) -> str:
    """Read a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def quotes_in(text: str) -> Iterator[Quote]:
    """Go through what a page quotes, in order."""
    for match in _QUOTE.finditer(text):
        if match["what"]:
            yield Quote(match["what"], match["table"], computed.BLOCKS[match["what"]](), *match.span("table"))
            continue
        path = ROOT / match["path"]
        whole = match["kind"] == "file"
        wanted = path.read_text(encoding="utf-8") if whole else source_of(path, match["name"])
        yield Quote(f"{match['path']} {match['name'] or ''}".strip(), match["text"], wanted, *match.span("text"))


def source_of(path: Path, name: str) -> str:
    """Return the source of a function or class by its qualified name, with its decorators, without its indentation."""
    text = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        node = _child(node, part, f"{path.relative_to(ROOT)} {name}")
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : node.end_lineno]) + "\n")


def _child(node: ast.AST, name: str, wanted: str) -> ast.AST:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and child.name == name:
            return child
    raise LookupError(f"a page quotes {wanted}, which is not there")


def fenced(text: str, language: str) -> list[str]:
    """Return the blocks of one language, without their indentation."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in blocks]


def prose(text: str) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(text: str) -> set[str]:
    """Return the anchors of a page, as the usual renderers make them."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
