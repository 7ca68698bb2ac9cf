"""What a call's tasks wait for, as trio knows it."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from web.calls.watching import CHILDREN, TaskNode, names_of, tree_of


async def wait_for_news(receive: trio.MemoryReceiveChannel[int]) -> None:
    async for _ in receive:
        pass


async def wait_for_event(event: trio.Event) -> None:
    await event.wait()


async def hold_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 10, name="a sleeper")
        nursery.start_soon(trio.sleep, 10, name="another one")


async def test_the_tree_says_what_each_task_waits_for(autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[int](1)
    found = list[TaskNode]()

    async def look() -> None:
        await wait_all_tasks_blocked()
        found.extend(tree_of(root))

    root = trio.lowlevel.current_task()
    with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_news, receive)
            nursery.start_soon(wait_for_event, trio.Event())
            nursery.start_soon(hold_a_nursery)
            await look()
            names = list(names_of(root))
            nursery.cancel_scope.cancel(reason="seen")

    assert [(node.depth, node.name, node.waits_for) for node in found[1:]] == [
        (1, "test_task_tree.hold_a_nursery", CHILDREN),
        (2, "a sleeper", "sleep"),
        (2, "another one", "sleep"),
        (1, "test_task_tree.wait_for_event", "Event.wait in wait_for_event"),
        (1, "test_task_tree.wait_for_news", "MemoryReceiveChannel.receive in wait_for_news"),
    ]
    assert [node.at.partition(":")[0] for node in found[1:]] == [__name__, "", "", __name__, __name__]
    assert (found[0].depth, found[0].name) == (0, "call")
    assert names == [(node.depth, node.name) for node in found]
