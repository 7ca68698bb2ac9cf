"""What a page points at is there: files, headings, tests, settings, routes, commands."""

import re
import shlex
from functools import cache

import pytest
import typer.core
import typer.main

from cli import commands
from tests.docs.pages import EVERY_PAGE, PAGES, ROOT, fenced, headings, page_text, prose
from tests.mutants import MUTANTS
from tests.web.fakes import exchange

LINK = re.compile(r"\]\((?!https?:)(?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
CODE = re.compile(r"`([^`\n]+)`")
ROUTE = re.compile(r"(?:POST|GET|DELETE) (/[\w/{}]+)")
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|svg|cfg)")
KEPT = frozenset({"transcript.json", "record.json", "pyproject.toml", "timeline.svg"})
ABSOLUTE = re.compile(r"(?<![\w.:])/(?:home|mnt|opt|root|tmp|usr|work|Users)/")


@cache
def the_tests() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


@cache
def the_settings() -> frozenset[str]:
    return frozenset(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_link_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for link in LINK.finditer(prose(page_text(page))):
        target = (here.parent / link["file"]).resolve() if link["file"] else here

        assert target.exists(), link[0]
        assert link["anchor"] is None or link["anchor"] in headings(target.read_text("utf-8")), link[0]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    folders = [ROOT, ROOT / "docs", ROOT / "docs" / "lesson", ROOT / "actors", ROOT / "tests", ROOT / "web"]
    for name in filter(FILE.fullmatch, CODE.findall(page_text(page))):
        assert name in KEPT or any((folder / name).exists() for folder in folders), name


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_test_that_is_named_exists(page: str) -> None:
    for name in re.findall(r"`(?:\w+/)*(?:\w+\.py::)?(test_\w+)`", page_text(page)):
        assert f"def {name}(" in the_tests(), name


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_private_name_is_in_the_files_that_its_page_quotes(page: str) -> None:
    text = page_text(page)
    quoted = {*re.findall(r"<!-- source: (\S+)", text), *re.findall(r"`((?:\w+/)+\w+\.py)`", text)}
    code = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in quoted if (ROOT / file).exists())

    named = set(re.findall(r"`(_[a-z_]+)`", prose(text))) if "<!-- source: " in text else set()
    assert [name for name in named if not re.search(rf"(?<!\w){name}(?!\w)", code)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_is_named_exists(page: str) -> None:
    text = page_text(page)
    assigned = re.findall(r"^([A-Z][A-Z_]+)=", "".join(fenced(text, "sh") + fenced(text, "text")), re.MULTILINE)
    named = re.findall(r"`([A-Z]+_[A-Z_]+)`", text)
    not_settings = {
        "INVALID_SETTINGS",
        "CLIENT_MESSAGE_TIMEOUT",
        "NON_EXISTENT_FUNCTION_CALLED",
        "TCP_USER_TIMEOUT",
        "FAULT_SEARCH",
        "REQUIRE_CHROMIUM",
    }

    assert {*assigned, *named} - the_settings() - not_settings == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_route_that_is_named_is_served(page: str) -> None:
    served = {re.sub(r"<\w+>", "{}", rule.rule) for rule in exchange().app.url_map.iter_rules()}

    assert {re.sub(r"{\w+}", "{}", route) for route in ROUTE.findall(page_text(page))} <= served


def _command_lines() -> list[str]:
    lines = "".join("".join(fenced(page_text(page), "sh")) for page in EVERY_PAGE).splitlines()
    found = [line.partition("uv run switchboard ")[2] for line in lines if "uv run switchboard " in line]
    return sorted(set(found))


@pytest.mark.parametrize("line", _command_lines())
def test_every_command_line_is_understood(line: str) -> None:
    program = typer.main.get_command(commands)
    assert isinstance(program, typer.core.TyperGroup)
    name, *arguments = shlex.split(line, comments=True)

    command = program.commands[name]

    assert command.make_context(name, arguments).params is not None


@pytest.mark.parametrize("page", PAGES)
def test_no_page_speaks_of_the_machine_it_was_written_on(page: str) -> None:
    assert ABSOLUTE.findall(page_text(page)) == []


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in MUTANTS}))
def test_what_a_mutant_breaks_stands_in_its_file_once(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")

    assert [] == [mutant.says for mutant in MUTANTS if mutant.file == file and text.count(mutant.old) != 1]
