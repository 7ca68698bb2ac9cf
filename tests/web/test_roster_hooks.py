"""After a call: the form is filled in and kept, the hook is run, and nothing that goes wrong costs the record."""

from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.errors import BriefUnavailable
from agents.extras import Extras
from agents.functions import FunctionFailed
from agents.kinds import Between
from store.calls import MemoryRecords
from store.private import write_whole
from store.records import CallRecord, TurnRecord, decode_record, encode_record
from tests.web.fakes import CALL_SID, OTHER_CALL_SID, record
from web.calls.call_files import CallFiles
from web.calls.counts import Counts
from web.calls.ending import Announced
from web.calls.live_calls import LiveCalls
from web.calls.roster_hooks import HOOK_SECONDS, AfterCalls
from web.calls.slots import Slots
from web.calls.work_queue import LAST_SECONDS, WorkQueue

ENDED = record(transcript=(TurnRecord(1.0, "caller", "It was lovely.", "It was lovely."),), facts={"name": "Ann"})


class Mood(Enum):
    HAPPY = "happy"
    CROSS = "cross"


@attrs.frozen
class Form:
    mood: Annotated[Mood, "How the customer sounded"]
    rating: Annotated[int, "From 1 to 5", Between(1, 5)] = 0


@attrs.define
class Model:
    """Answers this, and notes what it is asked."""

    answer: str = '```json\n{"mood": "happy", "rating": 5, "odd": 1}\n```'
    asked: list[list[dict[str, str]]] = attrs.field(factory=list)

    async def ask(self, messages: list[dict[str, str]]) -> str:
        self.asked.append(messages)
        await trio.sleep(0.5)
        return self.answer


@attrs.define
class Hook:
    """Notes what it is told, after it has done this."""

    work: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
    told: list[CallRecord] = attrs.field(factory=list)

    async def __call__(self, record: CallRecord) -> None:
        self.told.append(record)
        await self.work()


async def after(
    hook: Hook,
    ask: Callable[[list[dict[str, str]]], Awaitable[str]] | None = None,
    finish: float = 0.0,
    folder: Path | None = None,
) -> CallRecord | None:
    """End one call as the server does; return what is kept of it in the end."""
    records = MemoryRecords()
    calls = AfterCalls(Extras(extract=Form, hooks=(hook,)), ask, records, CallFiles(folder))
    announced = Announced(records, LiveCalls(), Counts(Slots(5)), ended=calls.put)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.queue.run)
        await announced.save(ENDED)
        await trio.sleep(finish)
        await calls.queue.finish()
        nursery.cancel_scope.cancel()
    return await records.get(CALL_SID)


@pytest.mark.parametrize(
    "around", ["{}", "<think>{{mood: ?}}</think>{}", '{{"form": {}}}'], ids=["", "aloud", "in another"]
)
async def test_the_form_is_filled_in_once_and_kept_and_the_hook_sees_it(around: str, autojump_clock: MockClock) -> None:
    model, hook = Model(around.format(Model().answer)), Hook()

    kept = await after(hook, model.ask)

    assert kept is not None
    assert kept.extracted == {"mood": "happy", "rating": 5}
    assert hook.told == [kept]
    assert decode_record(encode_record(kept)) == kept
    assert len(model.asked) == 1
    assert "It was lovely." in model.asked[0][1]["content"]


async def test_what_was_filled_in_is_in_the_file_of_the_call_too(tmp_path: Path, fast_clock: MockClock) -> None:
    file = tmp_path / CALL_SID / "record.json"
    write_whole(file, encode_record(ENDED))

    kept = await after(Hook(), Model().ask, folder=tmp_path)

    assert kept is not None
    assert kept.extracted
    assert decode_record(file.read_bytes()) == kept


@pytest.mark.parametrize("answer", ["no", "{}", '{"mood": "sad"}', '{"mood": "happy", "rating": 9}', "[]", "{", "5"])
async def test_an_answer_that_does_not_fit_is_not_kept(answer: str, autojump_clock: MockClock) -> None:
    hook = Hook()

    with capture_logs() as lines:
        kept = await after(hook, Model(answer).ask)

    assert (kept, hook.told) == (ENDED, [ENDED])
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["extraction_failed"]


async def test_a_model_that_is_away_or_hangs_or_is_broken_costs_the_form_only(autojump_clock: MockClock) -> None:
    async def away(_: object) -> NoReturn:
        raise BriefUnavailable("HTTP 503")

    async def hang(_: object) -> NoReturn:
        await trio.sleep_forever()
        raise AssertionError

    async def broken(_: object) -> NoReturn:
        raise ZeroDivisionError

    for ask in (away, hang, broken, None):
        hook = Hook()
        with capture_logs():
            kept = await after(hook, ask, finish=30.0)
        assert (kept, hook.told) == (ENDED, [ENDED])


async def raises() -> NoReturn:
    raise ValueError("bug")


async def quits() -> NoReturn:
    raise SystemExit(3)


async def hangs() -> None:
    await trio.sleep_forever()


async def hangs_shielded() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(2 * HOOK_SECONDS)


async def says_why() -> object:
    await trio.lowlevel.checkpoint()
    raise FunctionFailed("The CRM is away.")


@pytest.mark.parametrize("work", [raises, quits, hangs, hangs_shielded, says_why])
async def test_a_hook_that_misbehaves_costs_nothing_but_a_line_in_the_log(
    work: Callable[[], Awaitable[object]], autojump_clock: MockClock
) -> None:
    records, hook, second = MemoryRecords(), Hook(work), Hook()
    calls = AfterCalls(Extras(hooks=(hook, second)), None, records)
    announced = Announced(records, LiveCalls(), Counts(Slots(5)), ended=calls.put)

    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(calls.queue.run)
            await announced.save(ENDED)
            await trio.sleep(HOOK_SECONDS + 5)
            nursery.cancel_scope.cancel()

    assert await records.get(CALL_SID) == ENDED
    assert (hook.told, second.told) == ([ENDED], [ENDED])
    (told,) = [line for line in lines if line["event"] == "on_call_ended_failed"]
    assert told["why"]
    await trio.sleep(HOOK_SECONDS)  # until the abandoned one is gone


async def test_a_call_that_may_come_back_is_not_over_until_it_is(autojump_clock: MockClock) -> None:
    hook = Hook()
    calls = AfterCalls(Extras(hooks=(hook,)), None, MemoryRecords())
    announced = Announced(MemoryRecords(), LiveCalls(), Counts(Slots(5)), ended=calls.put)
    lost = attrs.evolve(ENDED, outcome="caller_hung_up")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.queue.run)
        await announced.save(lost)
        await calls.queue.finish()
        assert hook.told == []

        announced.over(CALL_SID)
        announced.over(CALL_SID)
        await calls.queue.finish()
        nursery.cancel_scope.cancel()

    assert hook.told == [lost]


async def test_what_was_erased_meanwhile_does_not_come_back(autojump_clock: MockClock) -> None:
    records, model = MemoryRecords(), Model()
    calls = AfterCalls(Extras(extract=Form), model.ask, records)
    announced = Announced(records, LiveCalls(), Counts(Slots(5)), ended=calls.put)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.queue.run)
        await announced.save(ENDED)
        await trio.sleep(0.1)
        await records.erase(CALL_SID)
        await calls.queue.finish()
        nursery.cancel_scope.cancel()

    assert await records.get(CALL_SID) is None


async def test_a_server_that_closes_waits_a_moment_and_no_longer(autojump_clock: MockClock) -> None:
    calls = AfterCalls(Extras(hooks=(Hook(hangs),)), None, MemoryRecords())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.queue.run)
        calls.put(ENDED)
        began = trio.current_time()
        await calls.queue.finish()
        assert trio.current_time() - began == LAST_SECONDS
        nursery.cancel_scope.cancel()


async def test_what_finds_no_place_and_what_crashes_is_told_with_its_call(autojump_clock: MockClock) -> None:
    queue = WorkQueue[CallRecord]("ends", Hook(raises), 1, 1)
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            queue.put(ENDED)
            queue.put(record(OTHER_CALL_SID))
            nursery.start_soon(queue.run)
            await queue.finish()
            nursery.cancel_scope.cancel()

    told = [(line["event"], line["call_sid"]) for line in lines]
    assert told == [("ends_dropped", OTHER_CALL_SID), ("ends_crashed", CALL_SID)]
