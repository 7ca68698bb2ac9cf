"""The tables and the rules as Markdown: `python -m tests.docs.requote` writes them into the page.

They stand between two markers, and a test compares them with the tables that the calls run on.
"""

from enum import Enum

from actors.turn.effects import Effect
from actors.turn.events import Kind
from actors.turn.rules import RULES, Rule
from actors.turn.state import Phase
from actors.turn.tables import TABLES, Cell, Table

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def picture() -> str:
    """Return the four tables and the list of rules."""
    parts = [picture_of_table(table) for table in TABLES]
    return "\n\n".join([*parts, picture_of_rules()])


def picture_of_table(table: Table) -> str:
    """Return a line for each event and a column for each state in which the call goes on."""
    states = [state for state in table.states if state is not Phase.OVER]
    lines = [f"### {table.part}", "", f"| event | {' | '.join(state.name for state in states)} |"]
    lines.append("|---" * (len(states) + 1) + "|")
    for event, line in table.lines.items():
        lines.append(f"| {name_of(event)} | {' | '.join(picture_of_cell(line.get(state, ())) for state in states)} |")
    return "\n".join(lines)


def name_of(kind: Kind | Effect) -> str:
    """Return the name of a kind of events, or of an effect."""
    return kind.name if isinstance(kind, Enum) else getattr(kind, "__name__", type(kind).__name__)


def picture_of_cell(cell: Cell) -> str:
    """Return the next state in bold, what is done, and the condition in italics."""
    rows = []
    for row in cell:
        words = [f"**{row.to.name}**"] if row.to is not None else []
        words += [_words(action.__name__) if callable(action) else name_of(action) for action in row.actions]
        words += [f"*if {row.when}*"] if row.when != "always" else []
        rows.append(" ".join(words))
    return "; ".join(rows) or "–"


def picture_of_rules() -> str:
    """Return a line for each rule, the first to be tried first."""
    lines = ["### rules", "", "| rule | phases | while | due | then |", "|---|---|---|---|---|"]
    for rule in RULES:
        conditions = ", ".join(rule.conditions) or "–"
        then = picture_of_cell(rule.then)
        lines.append(f"| {rule.name} | {_phases(rule)} | {conditions} | {rule.due_words} | {then} |")
    return "\n".join(lines)


def _phases(rule: Rule) -> str:
    left = [phase for phase in Phase if phase is not Phase.OVER]
    named = [phase.name for phase in left if phase in rule.phases]
    return "any" if len(named) == len(left) else ", ".join(named)


def _words(name: str) -> str:
    return name.strip("_").replace("_", " ")


def with_picture(page: str) -> str:
    """Return a page with the picture of today between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{picture()}\n\n{END}{after}"
