"""Version 2: tasks and flags, with care. Every task is kept, cancelled, awaited, and its error reported."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from docs.lesson.world import DEADLINE, AskHandoff, Goodbye, HungUp, Refused, Session, Voice, Withdrawn, World


async def call(world: World) -> None:
    await Call(world).run()


class Call:
    def __init__(self, world: World) -> None:
        self.world, self.line = world, world.line
        self.session: Session | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.handing_off = False
        self.kept: list[int] = []  # what the caller says while no agent listens
        self.outcome: str | None = None
        self.ended = asyncio.Event()

    async def run(self) -> None:
        try:
            self.session = await self.world.connect("first")
            self.spawn(self.read_caller())
            self.reader = self.spawn(self.read_session(self.session))
            await self.ended.wait()
        finally:
            await self.cleanup()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.on_task_done)
        return task

    def on_task_done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.world.error(error)
            if not self.handing_off:  # else the next agent is on its way
                self.end("lost")

    def end(self, outcome: str) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.ended.set()

    async def read_caller(self) -> None:
        try:
            while True:
                frame = await self.line.receive()
                if self.handing_off:
                    self.kept.append(frame)
                elif self.session:
                    await self.session.send(frame)
        except HungUp:
            self.end("hung up")

    async def read_session(self, session: Session) -> None:
        while True:
            match await session.receive():
                case Voice() as voice if session is self.session:
                    try:
                        await self.line.play(voice)
                    except HungUp:
                        self.end("hung up")
                case AskHandoff():
                    self.handing_off = True
                    self.handoff_task = self.spawn(self.hand_off(session))
                case Withdrawn() if self.handing_off:
                    self.handoff_task.cancel()
                case Goodbye():
                    self.end("completed")

    async def hand_off(self, old: Session) -> None:
        try:
            new = await asyncio.wait_for(self.world.connect("second"), DEADLINE)
            self.reader.cancel()
            self.session = new
            self.reader = self.spawn(self.read_session(new))
            await old.close()
        except (Refused, TimeoutError):
            await old.refuse()
            if self.reader.done():
                self.end("lost")
        finally:
            while self.kept and self.session:
                await self.session.send(self.kept.pop(0))
            self.handing_off = False

    async def cleanup(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.session:
            await self.session.close()
        self.world.outcome(self.outcome or "cancelled")
