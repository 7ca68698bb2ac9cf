"""Version 4: scopes (trio). A lifetime is a block; to take the floor away is to cancel a scope."""

import trio

from docs.lesson.world import DEADLINE, AskHandoff, Goodbye, HungUp, Refused, Session, Voice, Withdrawn, World


async def call(world: World) -> None:
    it = Call(world)
    try:
        async with trio.open_nursery() as it.tasks:
            it.tasks.start_soon(it.read_caller)
            await it.tasks.start(it.run_session, "first")
    finally:
        world.outcome(it.outcome or "cancelled")


class Call:
    tasks: trio.Nursery

    def __init__(self, world: World) -> None:
        self.world = world
        self.outcome: str | None = None
        self.cursor = 0  # the next frame that no agent has heard
        self.floor = trio.CancelScope()  # of the session that may be heard
        self.settled = trio.Event()  # no handoff is under way
        self.settled.set()

    def end(self, outcome: str) -> None:
        self.outcome = self.outcome or outcome
        self.tasks.cancel_scope.cancel()

    async def read_caller(self) -> None:
        try:
            while True:
                self.world.tape.append(await self.world.line.receive())
        except HungUp:
            self.end("hung up")

    async def run_session(self, agent: str, *, task_status: trio.TaskStatus[None]) -> None:
        session = await self.world.connect(agent)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # the starter has given up: the floor stays
            self.floor.cancel()  # from here to started() no other task runs
            with trio.CancelScope() as self.floor:
                task_status.started()
                await self.talk(session)
        finally:
            await session.close()  # noqa: ASYNC102 - closing looks after itself when it is cancelled

    async def talk(self, session: Session) -> None:
        try:
            async with trio.open_nursery() as pumps:
                pumps.start_soon(self.feed, session)
                await self.read(session)
        except* HungUp:
            self.end("hung up")
        except* Exception as lost:
            self.world.error(root(lost))
        await self.settled.wait()  # a successor may be on the way: it cancels this scope
        self.end("lost")

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
                    self.settled, self.handoff = trio.Event(), trio.CancelScope()
                    self.tasks.start_soon(self.hand_off, session)
                case Withdrawn():
                    self.handoff.cancel()
                case Goodbye():
                    self.end("completed")

    async def hand_off(self, old: Session) -> None:
        with self.handoff:
            try:
                with trio.fail_after(DEADLINE):
                    await self.tasks.start(self.run_session, "second")
            except (Refused, trio.TooSlowError):
                await old.refuse()
        self.settled.set()


def root(error: BaseException) -> BaseException:
    return root(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
