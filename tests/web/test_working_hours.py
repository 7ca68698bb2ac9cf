"""Background tasks live as long as the application, and no longer, however it ends."""

from collections.abc import Callable
from typing import cast

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, LifespanScope, Scope
from trio.testing import MockClock, wait_all_tasks_blocked

from web.app import BackgroundTasks

LIFESPAN: LifespanScope = {"type": "lifespan", "asgi": {"spec_version": "2.0", "version": "3.0"}, "state": {}}


class Shop:
    """An application that is told when to end, and a background task of it."""

    def __init__(self) -> None:
        self.closing = trio.Event()
        self.at_work = 0

    async def application(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await self.closing.wait()

    async def task(self) -> None:
        self.at_work += 1
        try:
            await trio.sleep_forever()
        finally:
            self.at_work -= 1

    async def live(self, scope: Scope = LIFESPAN) -> None:
        receive, send = cast("ASGIReceiveCallable", None), cast("ASGISendCallable", None)
        await BackgroundTasks(self.application, (self.task, self.task))(scope, receive, send)


def _close(shop: Shop, _: trio.CancelScope) -> None:
    shop.closing.set()


def _cancel(_: Shop, scope: trio.CancelScope) -> None:
    scope.cancel()


@pytest.mark.parametrize("end", [_close, _cancel], ids=["stopped", "cancelled"])
async def test_tasks_end_with_the_application(
    end: Callable[[Shop, trio.CancelScope], None], autojump_clock: MockClock
) -> None:
    shop = Shop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.live)
        await wait_all_tasks_blocked()
        during = shop.at_work
        end(shop, nursery.cancel_scope)

    assert (during, shop.at_work) == (2, 0)


async def test_a_request_starts_no_task(autojump_clock: MockClock) -> None:
    shop = Shop()
    shop.closing.set()

    await shop.live(cast("Scope", {"type": "http"}))

    assert shop.at_work == 0


async def test_what_a_task_raises_leaves_through_the_application(autojump_clock: MockClock) -> None:
    shop = Shop()

    async def crash() -> None:
        raise ValueError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a bug")):
        await BackgroundTasks(shop.application, (crash,))(
            LIFESPAN, cast("ASGIReceiveCallable", None), cast("ASGISendCallable", None)
        )
