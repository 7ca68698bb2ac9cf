"""The result of the call, as tables: the agents in order, the handoffs, the functions, and the files that were kept."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from demo.telling import milliseconds
from web.picture.facts import JournalEntry, arguments_text, flag, named, number, result_text, text


def summary(
    record_json: Mapping[str, object], entries: Sequence[JournalEntry], files: Sequence[Path] = ()
) -> RenderableType:
    """Lay out the record of a call with what its journal measured."""
    parts: list[RenderableType] = [Text(), _headline(record_json), _agents(record_json)]
    if rows(record_json, "handoffs"):
        parts.append(_handoffs(record_json, entries))
    if rows(record_json, "functions"):
        parts.append(_functions(record_json))
    if rows(record_json, "transfers"):
        parts.append(_transfers(record_json))
    parts.extend(Text(f"  {path}") for path in files)
    return Group(*parts)


def rows(record: Mapping[str, object], key: str) -> list[JournalEntry]:
    """Read a list of objects out of a record."""
    value = record.get(key)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def unheard_frames(record: Mapping[str, object]) -> int:
    """Read how many of the caller's frames no agent was sent."""
    frames = record.get("frames")
    return int(number(frames, "unheard")) if isinstance(frames, Mapping) else 0


def _headline(record: Mapping[str, object]) -> Text:
    turns = rows(record, "transcript")
    words = Text.assemble(
        (text(record, "outcome") or "no outcome", "bold"),
        f" after {number(record, 'duration'):.1f} s of call: {_counted(len(turns), 'turn')}, ",
        f"{_counted(int(number(record, 'restarts')), 'restart')}, ",
        f"{_counted(unheard_frames(record), 'caller frame')} unheard",
    )
    faults = record.get("faults")
    if isinstance(faults, list | tuple) and faults:
        words.append("".join(f"\n  {fault}" for fault in faults), "red")
    return words


def _agents(record: Mapping[str, object]) -> Table:
    table = _table("agent", "on the line", "restarts")
    for period in rows(record, "agents"):
        span = f"{number(period, 'started'):.1f}–{number(period, 'ended'):.1f} s"
        table.add_row(Text(text(period, "agent")), span, f"{number(period, 'restarts'):.0f}")
    counted = sum(int(number(period, "restarts")) for period in rows(record, "agents"))
    if (others := int(number(record, "restarts")) - counted) > 0:
        table.add_row(Text("an agent that never had the floor"), "", str(others))
    return table


def _handoffs(record: Mapping[str, object], entries: Sequence[JournalEntry]) -> Table:
    table = _table("handoff", "asked at", "asked → first audio", "Brief", "Brief took")
    for handoff in rows(record, "handoffs"):
        reader, gap = text(handoff, "to_agent"), handoff.get("gap")
        brief = _brief(entries, reader, number(handoff, "asked_at"))
        table.add_row(
            Text(f"{text(handoff, 'from_agent')} → {reader}" + _how(handoff)),
            f"{number(handoff, 'asked_at'):.1f} s",
            "never" if gap is None else milliseconds(number(handoff, "gap")),
            text(handoff, "brief_source") or "none",
            "" if brief is None else milliseconds(number(brief, "took")),
        )
    return table


def _how(handoff: Mapping[str, object]) -> str:
    how = text(handoff, "how")
    return f" ({how})" if how not in {"", "hard"} else ""


def _brief(entries: Iterable[JournalEntry], reader: str, asked: float) -> JournalEntry | None:
    own = (entry for entry in named(entries, "brief_ready") if text(entry, "reader") == reader)
    return next((entry for entry in own if number(entry, "at") >= asked), None)


def _functions(record: Mapping[str, object]) -> RenderableType:
    """List the functions, each with its arguments and its answer on lines of their own: tables would cut words."""
    parts: list[RenderableType] = [Text("functions", "bold")]
    for function in rows(record, "functions"):
        ok = flag(function, "ok")
        heading = f"{number(function, 'at'):7.1f} s  {text(function, 'agent')}: {text(function, 'name')}"
        arguments = Text(arguments_text(function.get("arguments")), "dim")
        answer = Text(f"{'✓' if ok else '✗'} {result_text(function.get('result'))}", "" if ok else "red")
        parts.append(Text(heading))
        parts.extend(Padding(words, (0, 0, 0, 11)) for words in (arguments, answer) if words)
    return Padding(Group(*parts), (0, 0, 1, 0))


def _transfers(record: Mapping[str, object]) -> Table:
    table = _table("put through", "asked at", "why", "what came of it", "talked")
    for transfer in rows(record, "transfers"):
        talked = number(transfer, "talked")
        table.add_row(
            Text(f"by {text(transfer, 'agent')}"),
            f"{number(transfer, 'asked_at'):.1f} s",
            Text(text(transfer, "reason")),
            Text(text(transfer, "outcome") or "not known"),
            f"{talked:.0f} s" if talked else "",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
