"""The call as it goes on, in the terminal: who holds the floor, what is said, called, handed over, and what fails.

`LiveView.show` is given to a call as its `observe`: synchronous, it prints and returns. On a terminal the transcript
scrolls above one status line; without one, or with `NO_COLOR`, every fact is one plain line, fit for a log. It owns the
status line from `with` to the end of the block and nothing else; a word it cannot print is replaced, never raised.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import attrs
from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actors import facts
from actors.journal import Entry
from demo.telling import Line, Tone, told
from web.console.rendering import shown_duration

AGENT_STYLES = ("green", "magenta", "yellow", "blue", "red")
STYLES: Mapping[Tone, str] = {
    Tone.CALLER: "bold",
    Tone.AGENT: "",
    Tone.STEP: "dim",
    Tone.FUNCTION: "cyan",
    Tone.HANDOFF: "bold blue",
    Tone.TROUBLE: "bold red",
    Tone.END: "bold",
}
WHO_WIDTH = 11
AGENT_INDENT = 4


def plain_output(console: Console) -> bool:
    """Say whether this console is to be written to in plain lines."""
    return console.no_color or not console.is_terminal


@attrs.define
class LiveView:
    """Shows one call on one console; `frames` counts the caller's audio frames, if anyone does."""

    console: Console
    frames: Callable[[], int | None] = lambda: None
    _agents: list[str] = attrs.field(factory=list, init=False)
    _floor: str = attrs.field(default="", init=False)
    _now: float = attrs.field(default=0.0, init=False)
    _status: Live | None = attrs.field(default=None, init=False)

    def __enter__(self) -> Self:
        if not plain_output(self.console):
            self._status = Live(self._status_line(), console=self.console, auto_refresh=False, transient=True)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def show(self, entry: Entry) -> None:
        """Show one fact of the call, as soon as it is noted."""
        self._follow(entry.fact)
        line = told(entry.fact)
        if line is not None:
            self._print(line, entry.at)
        self.tick(entry.at)

    def tell(self, line: Line, at: float) -> None:
        """Show something that the call itself knows nothing of."""
        self._print(line, at)
        self.tick(at)

    def tick(self, at: float) -> None:
        """Move the status line's clock on."""
        self._now = max(self._now, at)
        if self._status is not None:
            self._status.update(self._status_line(), refresh=True)

    def _follow(self, fact: facts.Fact) -> None:
        agent = getattr(fact, "agent", "")
        if agent and agent not in self._agents:
            self._agents.append(agent)
        if isinstance(fact, facts.FloorTaken):
            self._floor = agent
        elif isinstance(fact, facts.FloorLeft) and self._floor == agent:
            self._floor = ""

    def _print(self, line: Line, at: float) -> None:
        if plain_output(self.console):
            written = f"{at:7.2f}  {line.who:<{WHO_WIDTH}}  {_signed(line)}"
            self.console.print(self._writable(written), soft_wrap=True, highlight=False)
            return
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=6, justify="right", no_wrap=True)
        row.add_column(width=WHO_WIDTH, no_wrap=True)
        row.add_column(ratio=1)
        is_caller, colour = line.who == "caller", self._colour(line.who)
        words = Padding(self._writable(_signed(line), STYLES[line.tone]), (0, 0, 0, 0 if is_caller else AGENT_INDENT))
        who = self._writable(line.who, "bold" if is_caller else f"bold {colour}")
        row.add_row(Text(f"{at:.1f}", "dim"), who, words)
        self.console.print(row)

    def _colour(self, who: str) -> str:
        return AGENT_STYLES[self._agents.index(who) % len(AGENT_STYLES)] if who in self._agents else "default"

    def _writable(self, words: str, style: str = "") -> Text:
        shown = "".join(character if character.isprintable() else "\ufffd" for character in words)
        encoding = self.console.encoding
        return Text(shown.encode(encoding, "replace").decode(encoding), style)

    def _status_line(self) -> Text:
        line = Text(f" {shown_duration(int(self._now))} ", "reverse")
        floor = f"{self._floor} on the line" if self._floor else "nobody on the line"
        line.append(f"  ● {floor}", f"bold {self._colour(self._floor)}")
        frames = self.frames()
        if frames is not None:
            line.append(f"  {frames} frames from the caller", "dim")
        return line


def _signed(line: Line) -> str:
    return f"{line.sign} {line.words}" if line.sign else line.words
