"""Version 3 with five guards, each marked: nothing breaks under the sweep. Exercise 8 takes them out one at a time."""

import asyncio

from docs.lesson.world import DEADLINE, AskHandoff, Goodbye, HungUp, Refused, Session, Voice, Withdrawn, World


class Over(Exception):
    """Raised to end the group: a TaskGroup has no cancel()."""


class Lost(Exception):
    """The agent is gone, and no other one is on the way."""


async def call(world: World) -> None:
    outcome = "cancelled"
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(read_caller(world))
            first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            group.create_task(Call(world, group).run_session("first", first))
    except* Over:
        outcome = "completed"
    except* HungUp:
        outcome = "hung up"
    except* Lost:
        outcome = "lost"
    finally:
        world.outcome(outcome)


def root(error: BaseException) -> BaseException:
    return root(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def read_caller(world: World) -> None:
    while True:
        world.tape.append(await world.line.receive())


class Call:
    def __init__(self, world: World, group: asyncio.TaskGroup) -> None:
        self.world, self.group = world, group
        self.cursor = 0  # the next frame that no agent has heard
        self.holder: asyncio.Task[None] | None = None  # the task of the session on the floor
        self.settled = asyncio.Event()  # no handoff is under way
        self.settled.set()

    async def run_session(self, agent: str, ready: "asyncio.Future[None]") -> None:
        try:
            session = await self.world.connect(agent)
        except Refused as refused:
            if not ready.done():  # guard 1: the starter may have given up
                ready.set_exception(refused)
            return
        try:
            if ready.done():  # guard 2: the starter has given up, so the floor must not move
                return
            if self.holder:
                self.holder.cancel()
            self.holder = asyncio.current_task()
            ready.set_result(None)
            await self.talk(session)
        finally:
            await session.close()

    async def talk(self, session: Session) -> None:
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self.feed(session))
                await self.read(session)
        except* (Over, HungUp):
            raise
        except* Exception as lost:
            self.world.error(root(lost))
        task = asyncio.current_task()
        if task and task.cancelling():  # guard 3: before Python 3.13 a failing group swallows the cancellation
            raise asyncio.CancelledError
        await self.settled.wait()  # a successor may be on the way: it cancels this task
        raise Lost

    async def feed(self, session: Session) -> None:
        while True:
            frame = await self.world.tape.wait_frame(self.cursor)
            await self.settled.wait()
            await session.send(frame)
            self.cursor += 1

    async def read(self, session: Session) -> None:
        while True:
            match await session.receive():
                case Voice() as voice:
                    await self.world.line.play(voice)
                case AskHandoff():
                    self.handoff = self.group.create_task(self.hand_off(session))
                case Withdrawn():
                    self.handoff.cancel()
                case Goodbye():
                    raise Over

    async def hand_off(self, old: Session) -> None:
        self.settled = asyncio.Event()  # guard 4: set here, since a task that is cancelled early never runs one line
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        successor = self.group.create_task(self.run_session("second", ready))
        try:
            async with asyncio.timeout(DEADLINE):
                await ready
        except (Refused, TimeoutError):
            successor.cancel()
            await old.refuse()
        except asyncio.CancelledError:  # withdrawn, or the call is over
            if ready.cancelled() or not ready.done():  # guard 5: one that has the floor stays
                successor.cancel()
            raise
        finally:
            self.settled.set()
