"""Calls as text for an operator's terminal.

`lines` writes one call: its parties, agents, handoffs, functions, facts and words. `call_lines` writes a list of calls.
Both only turn what a server shows into text. A call that is not over has no record yet; its state is written instead.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson
from rich.markup import escape

from protocol.fields import counted
from store.masking import mask
from store.records import UNANSWERED, CallRecord, FunctionRecord, TransferRecord, TurnRecord, record_from_json


def lines(shown: Mapping[str, object]) -> Iterator[str]:
    """Write a call as lines of text, phone numbers masked. Raises: `RecordError`."""
    plain = shown.get("record")
    if plain is None:
        yield f"{shown.get('call_sid') or shown.get('id')}  {shown.get('status') or 'unknown'}; there is no record yet"
        return
    record = record_from_json(plain)
    yield f"{record.call_sid}  {record.direction}, {mask(record.caller) or 'unknown'} on {mask(record.line) or '?'}"
    if record.outcome in UNANSWERED:
        yield f"{record.started_at}  {record.outcome}: {mask(record.why)}"
        return
    picked_up = f", answered by: {record.answered_by}" if record.answered_by else ""
    yield f"{record.started_at}  {record.outcome} after {record.duration:.1f} s{picked_up}"
    yield from _floor(record)
    yield from _section("facts", [f"  {name}: {value}" for name, value in record.facts.items()])
    yield from _section("functions", [_function(function) for function in record.functions])
    yield from _section("transfers", [_transfer(transfer) for transfer in record.transfers])
    yield from _section("transcript", [_turn(turn) for turn in record.transcript])
    yield from _section("faults", [f"  {mask(fault)}" for fault in record.faults])
    frames = record.frames
    yield ""
    yield (
        f"frames: {frames.caller_in} from the caller ({frames.caller_sent} sent on, {frames.unheard} unheard), "
        f"{frames.agent_in} from agents ({frames.agent_sent} sent on, {frames.dropped} dropped)"
    )
    yield _usage(record)
    if record.recording:
        yield f"recording: {record.recording}"


def call_lines(calls: Sequence[Mapping[str, object]], width: int | None = None) -> Iterator[str]:
    """Write a list of calls, a line each; where `width` columns are too few, the agents go on a line of their own."""
    rows = [_HEADINGS, *map(_row, calls)]
    sizes = [max(len(field) for field in column if len(field) <= _WIDEST) for column in zip(*rows, strict=True)]
    is_narrow = width is not None and sum(sizes) + 2 * len(sizes) > width
    for row in rows:
        *fields, agents = (field.ljust(size) for field, size in zip(row, sizes, strict=True))
        if not is_narrow:
            yield "  ".join([*fields, agents]).rstrip()
            continue
        yield " ".join(fields).rstrip()
        if agents.strip() and row is not _HEADINGS:
            yield f"            {agents.rstrip()}"


_WIDEST = 40
"""Characters of a column: a longer field, such as a SIP address, moves nothing but the rest of its own line."""
_HEADINGS = ("started", "call", "caller", "state", "s", "agents")


def _row(call: Mapping[str, object]) -> tuple[str, ...]:
    started = str(call.get("started_at") or call.get("created_at") or "")
    duration, periods = call.get("duration"), call.get("agents")
    return (
        started[5:16].replace("T", " "),
        str(call.get("call_sid") or call.get("id")),
        _party(call),
        str(call.get("outcome") or call["status"]),
        f"{duration:.0f}" if isinstance(duration, int | float) else "",
        ", ".join(str(period["agent"]) for period in periods) if isinstance(periods, list) else "",
    )


def _party(call: Mapping[str, object]) -> str:
    arrow = "->" if call.get("direction") == "outbound" else "<-"
    return f"{arrow} {mask(str(call.get('caller') or '')) or 'unknown'}"


def live_row(call: Mapping[str, object]) -> tuple[str, ...]:
    """Write a call that goes on: its name, its caller's masked number, the floor, its seconds, the last words."""
    seconds, words = call.get("seconds"), str(call.get("last_words") or "")
    return (
        escape(str(call.get("call_sid") or call.get("id"))),
        escape(_party(call)),
        escape(str(call.get("floor") or call.get("status") or "")),
        f"{seconds:.0f}" if isinstance(seconds, int | float) else "",
        escape(f"{call.get('speaker')}: {words}" if words else ""),
    )


def _section(heading: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield ""
        yield heading
        yield from rows


def _floor(record: CallRecord) -> Iterator[str]:
    periods = []
    for period in record.agents:
        restarts = f", restarts: {period.restarts}" if period.restarts else ""
        periods.append(f"  {period.started:7.1f}  {period.agent} until {period.ended:.1f}{restarts}")
    yield from _section("agents", periods)
    handoffs = []
    for handoff in record.handoffs:
        gap = f"{handoff.gap:.2f} s of silence" if handoff.gap is not None else "never heard"
        brief = f", brief from {handoff.brief_source}" if handoff.brief_source else ""
        how = f" ({handoff.how})" if handoff.how else ""
        handoffs.append(f"  {handoff.asked_at:7.1f}  {handoff.from_agent} to {handoff.to_agent}{how}: {gap}{brief}")
        if handoff.cause:
            handoffs.append(f"           because: {handoff.cause}")
        rest = {name: value for name, value in handoff.brief.items() if (name, value) != ("reason", handoff.cause)}
        handoffs.extend(f"           {name}: {value}" for name, value in rest.items())
    yield from _section("handoffs", handoffs)


def _usage(record: CallRecord) -> str:
    used = record.usage
    agents = ", ".join(f"{agent} {seconds:.0f} s" for agent, seconds in used.agent_seconds.items()) or "no agent"
    tokens = used.summary_tokens_in + used.summary_tokens_out
    summaries = counted(used.summaries, "summary", "summaries") + (f" ({counted(tokens, 'token')})" if tokens else "")
    words = f"{counted(used.spoken_characters, 'character')} spoken; {summaries}"
    return f"used: line {record.duration:.0f} s; {agents}; {words}"


def _function(function: FunctionRecord) -> str:
    result = function.result if isinstance(function.result, str) else orjson.dumps(function.result).decode()
    arguments = orjson.dumps(function.arguments).decode()
    failed = "" if function.ok else " (failed)"
    return f"  {function.at:7.1f}  {function.agent}: {function.name} {arguments} -> {result}{failed}"


def _transfer(transfer: TransferRecord) -> str:
    talked = f", {transfer.talked:.0f} s" if transfer.talked else ""
    came_of_it = transfer.outcome or "not known"
    return f"  {transfer.asked_at:7.1f}  {transfer.agent} to a person: {transfer.reason} -> {came_of_it}{talked}"


def _turn(turn: TurnRecord) -> str:
    cut = turn.speaker != "caller" and turn.heard != turn.text
    heard = f"  [heard: {turn.heard or 'nothing'}]" if cut else ""
    waited = f"  ({turn.latency:.2f} s)" if turn.latency is not None else ""
    return f"  {turn.at:7.1f}  {turn.speaker}: {turn.text}{heard}{waited}"
