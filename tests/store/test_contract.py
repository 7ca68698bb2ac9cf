"""Every store of call records keeps the same promises."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import attrs
import pytest
import trio

from store.calls import CallRecords, MemoryRecords
from store.records import (
    CallRecord,
    FunctionRecord,
    RecordError,
    TransferRecord,
    TurnRecord,
    decode_record,
    encode_record,
    encode_running,
    record_as_json,
    record_from_json,
    turn_line,
)
from store.search import CallQuery, CallSummary, select, summary_of
from store.spill import SpillingRecords
from store.sql import SqlRecords
from tests.examples import POSTGRES
from tests.store.samples import FULL, at

OPENERS: Mapping[str, Callable[[Path], CallRecords]] = {
    "memory": lambda _: MemoryRecords(),
    "sqlite": lambda folder: SqlRecords(f"sqlite:///{folder}/calls.db"),
    "spilled": lambda folder: SpillingRecords(MemoryRecords(), folder / "spill"),
}


@pytest.fixture(params=[*OPENERS, POSTGRES])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> CallRecords:
    if request.param == "postgres":
        return SqlRecords(request.getfixturevalue("postgres"))
    return OPENERS[request.param](tmp_path)


async def test_a_record_comes_back_as_it_was_saved(records: CallRecords) -> None:
    await records.save(FULL)

    assert await records.get(FULL.call_sid) == FULL


async def test_an_unknown_call_is_no_error(records: CallRecords) -> None:
    assert await records.get("CA" + "9" * 32) is None


@pytest.mark.parametrize("name", ["../secrets", "", ".", "a/b", "CA1\x00", "CA\ud800", "CA*", "C" * 5000])
async def test_a_name_that_is_no_calls_finds_nothing(records: CallRecords, name: str) -> None:
    assert await records.get(name) is None


async def test_saving_a_call_again_replaces_it(records: CallRecords) -> None:
    await records.save(FULL)
    await records.save(attrs.evolve(FULL, outcome="crashed"))

    assert [record.outcome for record in await records.list()] == ["crashed"]


async def test_one_without_a_conversation_replaces_none_with_one(records: CallRecords) -> None:
    """Two workers may tell of the end of one call, and only one of them have carried it."""
    unheard, heard = attrs.evolve(FULL, outcome="never_ran", duration=0.0), attrs.evolve(FULL, outcome="crashed")
    where = records.inner if isinstance(records, SpillingRecords) else records  # what waits is replaced there at last
    for record in (unheard, attrs.evolve(unheard, why="no stream came"), FULL, unheard, heard, unheard):
        await where.save(record)

    assert await where.get(FULL.call_sid) == heard
    assert [one.outcome for one in await where.search(CallQuery())] == ["crashed"]


async def test_an_empty_store_lists_nothing(records: CallRecords) -> None:
    assert list(await records.list()) == []


async def test_the_newest_calls_are_listed_first(records: CallRecords) -> None:
    for minute in (1, 2, 3):
        await records.save(at(minute))

    assert list(await records.list(limit=2)) == [at(3), at(2)]


async def test_calls_that_end_at_once_are_all_kept(records: CallRecords) -> None:
    async with trio.open_nursery() as nursery:
        for minute in range(20):
            nursery.start_soon(records.save, at(minute))

    assert list(await records.list()) == [at(minute) for minute in reversed(range(20))]


async def test_a_call_with_strange_words_in_it_is_kept(records: CallRecords) -> None:
    strange = attrs.evolve(FULL, outcome="\0'; DROP TABLE calls; --" * 20, direction="\u2028", caller="\x00\x1b")
    await records.save(strange)

    assert await records.get(FULL.call_sid) == strange


async def test_memory_forgets_the_oldest_beyond_its_capacity() -> None:
    records = MemoryRecords(capacity=2)
    for minute in (1, 2, 3):
        await records.save(at(minute))

    assert [await records.get(at(minute).call_sid) is not None for minute in (1, 2, 3)] == [False, True, True]


def test_a_record_of_a_newer_version_reads_back_without_what_we_do_not_know() -> None:
    newer = {**record_as_json(FULL), "mood": "cheerful"}

    assert record_from_json(newer) == FULL


@pytest.mark.parametrize(
    "change",
    [{"duration": "long"}, {"call_sid": None, "agents": 3}, {"functions": [{"at": 1}]}, {"frames": 3}],
    ids=str,
)
def test_what_is_no_record_is_one_error(change: dict[str, object]) -> None:
    plain = {**record_as_json(FULL), **change}
    if "call_sid" in change:
        del plain["call_sid"]

    with pytest.raises(RecordError):
        record_from_json(plain)


def test_what_is_no_object_is_one_error() -> None:
    with pytest.raises(RecordError):
        record_from_json([1])


def a_cycle() -> list[object]:
    ring: list[object] = []
    ring += [ring, ring]
    return ring


def nested(levels: int) -> object:
    value: object = "core"
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    "odd",
    ["\ud800", "half \udfff", object(), Decimal(1), b"\xff", {1, 2}, 1 << 70, -(1 << 5000), float("nan"), a_cycle(),
     nested(300), nested(5000), {object(): 1}, {"\ud800": 1}, {1: {2: 3}}, datetime.now(UTC), type],
    ids=lambda odd: type(odd).__name__,
)  # fmt: skip
def test_whatever_is_in_a_record_it_is_written_and_read_again(odd: object) -> None:
    """What a handler returns is checked before; this is for what nobody thought of."""
    facts, arguments = {"n": cast("str", odd)}, {"a": odd}
    functions = (FunctionRecord(1.0, "closer", "do", arguments, {"r": odd}, ok=True),)
    turns = (TurnRecord(0.5, "caller", "half \ud800"),)
    strange = attrs.evolve(FULL, outcome="\ud800", facts=facts, functions=functions, transcript=turns)

    kept = decode_record(encode_record(strange))
    running = decode_record(encode_running(strange, map(turn_line, turns)))

    assert (kept.call_sid, len(kept.functions), len(running.transcript)) == (FULL.call_sid, 1, 2)
    assert kept.outcome == "\\ud800"


def test_text_and_value_are_each_others_inverse() -> None:
    assert decode_record(encode_record(FULL)) == FULL


# Lists


async def kept_all(records: CallRecords, *kept: CallRecord) -> CallRecords:
    for record in kept:
        await records.save(record)
    return records


async def sids(records: CallRecords, query: CallQuery) -> list[str]:
    return [summary.call_sid for summary in await records.search(query)]


async def test_a_search_gives_the_summary_of_each_record_newest_first(records: CallRecords) -> None:
    await kept_all(records, *(at(minute) for minute in (2, 5, 3)))

    assert list(await records.search(CallQuery())) == [summary_of(at(minute)) for minute in (5, 3, 2)]


async def test_pages_by_key_hold_each_call_once_though_calls_come_in_between(records: CallRecords) -> None:
    same_time = [attrs.evolve(at(7), call_sid=f"CB{index:032}") for index in range(4)]
    await kept_all(records, *(at(minute) for minute in range(5)), *same_time)
    found, query = list[CallSummary](), CallQuery(limit=2)
    while page := await records.search(query):
        found += page
        query = attrs.evolve(query, before=page[-1].key)
        await records.save(at(50 + len(found)))

    assert [summary.call_sid for summary in found] == [
        *(record.call_sid for record in reversed(same_time)),
        *(at(minute).call_sid for minute in reversed(range(5))),
    ]


QUERIES = [
    CallQuery(text="5557650000"),
    CallQuery(text="ADVISOR completed"),
    CallQuery(text="seattle"),
    CallQuery(text="100%_sure"),
    CallQuery(text="%"),
    CallQuery(text="nobody"),
    CallQuery(text="a\0dvisor"),
    CallQuery(outcome="crashed"),
    CallQuery(direction="inbound"),
    CallQuery(since="2026-11-22T09:03", until="2026-11-22T09:05"),
    CallQuery(troubled=True),
    CallQuery(transferred=True),
    CallQuery(text="qualifier", outcome="completed", direction="outbound", troubled=True, limit=1),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
async def test_a_search_is_the_same_everywhere(records: CallRecords, query: CallQuery) -> None:
    kept = [
        at(1),
        attrs.evolve(at(2), facts={"City": "Seattle"}, restarts=0, faults=()),
        attrs.evolve(at(3), outcome="crashed", direction="inbound", agents=(), caller=""),
        attrs.evolve(at(4), facts={"mood": "100%_sure"}, transfers=(TransferRecord("advisor", 1.0, "asked"),)),
    ]
    await kept_all(records, *kept)

    assert list(await records.search(query)) == list(select(map(summary_of, kept), query))


async def test_what_is_erased_is_gone_and_the_rest_is_not(records: CallRecords) -> None:
    await kept_all(records, at(1), at(2))
    await records.erase(at(1).call_sid)
    await records.erase("CA" + "9" * 32)
    await records.erase("../../x")

    assert await records.get(at(1).call_sid) is None
    assert await sids(records, CallQuery()) == [at(2).call_sid]


async def test_what_is_saved_again_has_the_new_summary(records: CallRecords) -> None:
    await kept_all(records, at(1), attrs.evolve(at(1), outcome="crashed"))

    assert [summary.outcome for summary in await records.search(CallQuery())] == ["crashed"]
