"""A whole call that is watched: who watches sees what the journal has, the tasks as they are, and both sides."""

import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.facts import ReplyText
from testkit.harness import Played, play
from web.calls.watching import WatchedCall, WatchedCalls


def every_line(call: WatchedCall) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while len(found) < call.count:
        found += [orjson.loads(line) for line in call.lines(len(found))]
    return found


@pytest.mark.slow
async def test_a_watcher_sees_a_whole_call_and_its_tasks(autojump_clock: MockClock) -> None:
    calls, trees, turns, sound = WatchedCalls(), set[tuple[str, ...]](), set[str](), set[bytes]()

    async def look(played: Played) -> None:
        await trio.sleep(0.5)
        (call,) = calls._calls.values()
        with call.watched(), call.listened():
            while call.now is not None:
                trees.add(tuple(name for _, name in call.task_names()))
                whose = call.moment().get("turn")
                turns.update(whose if isinstance(whose, list) else ())
                for side in call.audio(round((call.now - 0.7) * 8000), 800):
                    sound.add(side[:1])
                await trio.sleep(0.1)

    played = await play("sale", watch=calls.watch, meanwhile=look)
    (call,) = calls._calls.values()

    assert [entry["event"] for entry in every_line(call)] == [entry.event for entry in played.entries]
    assert call.over
    seen = {name for names in trees for name in names}
    assert {
        "call", "bridge", "turn", "summarizer", "session 1: qualifier", "session 2: advisor", "session 3: closer",
    } <= seen  # fmt: skip
    assert seen.isdisjoint({"attendant", "keypad", "transfers"})  # nobody has wanted one
    assert {"owed", "settled", "coming", "handing_over", "ending"} <= turns
    assert len(sound) > 10
    assert played.the_record.listeners == 1
    assert call.tasks() == []
    assert call.task_names() == []
    assert call.last_words == ("closer", played.facts(ReplyText)[-1].text)
