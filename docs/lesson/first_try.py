"""Version 1: tasks and flags, as one writes them first. It is what most asyncio phone agents look like.

Each message gets a task of its own, a flag says that a handoff is under way, and another one that everything has been
cleaned up. It never completes a handoff: `hand_off` cancels `listen_task`, and the call is waiting for that very task.
"""

import asyncio
from contextlib import suppress

from docs.lesson.world import DEADLINE, AskHandoff, Dropped, Goodbye, HungUp, Session, Voice, World


async def call(world: World) -> None:
    it = Orchestrator(world)
    await it.start_agent("first")
    reader = asyncio.create_task(read_caller(world, it))  # noqa: F841, RUF006 - the fault that is shown
    await it.listen_task
    await it.cleanup()


async def read_caller(world: World, it: "Orchestrator") -> None:
    try:
        while True:
            await it.on_caller_audio(await world.line.receive())
    except HungUp:
        it.outcome = "hung up"
        await it.cleanup()


class Orchestrator:
    def __init__(self, world: World) -> None:
        self.world = world
        self.handoff_in_progress = False
        self.cleanup_done = False
        self.outcome = "completed"

    async def start_agent(self, name: str) -> None:
        self.agent: Session = await self.world.connect(name)
        self.listen_task = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        with suppress(Dropped):
            while True:
                asyncio.create_task(self.on_message(await self.agent.receive()))  # noqa: RUF006 - the fault that is shown

    async def on_message(self, message: object) -> None:
        if isinstance(message, Voice):
            await self.world.line.play(message)
        elif isinstance(message, AskHandoff):
            await self.hand_off("second")
        elif isinstance(message, Goodbye):
            await self.cleanup()

    async def on_caller_audio(self, audio: int) -> None:
        if not self.handoff_in_progress:
            await self.agent.send(audio)

    async def hand_off(self, name: str) -> None:
        self.handoff_in_progress = True
        await asyncio.sleep(0.05)  # let the last words out
        self.listen_task.cancel()
        await self.agent.close()
        await asyncio.wait_for(self.start_agent(name), DEADLINE)
        self.handoff_in_progress = False

    async def cleanup(self) -> None:
        if self.cleanup_done:
            return
        self.cleanup_done = True
        if not self.handoff_in_progress:
            await self.agent.close()
        self.world.outcome(self.outcome)
