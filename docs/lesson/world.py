"""The world of the lesson: a telephone caller and a voice service, simulated.

Every version of the handoff runs in this world, unchanged. A fault enters here and never in the code of a version, so
all versions meet the same faults.

Time runs in ticks of 1/64 s: sums are exact, and things can happen at the same instant. At each tick the caller says
one numbered frame, and each open session says one. `Library` is what the world needs of trio or asyncio.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

TICK = 1 / 64
DEADLINE = 12 * TICK
"""A handoff must be decided by then."""
SLACK = 3 * TICK
ASKS_AT = 2
"""The first agent asks for a handoff when it has heard this frame …"""
FIRST_DONE, SECOND_DONE = 18, 13
"""… and each agent says goodbye when it has heard this one."""
CALLER_GIVES_UP = 32
LAST_WORDS = 4
"""Frames that the first agent still says after it has asked."""

CONNECTS_FIRST = 1.5 * TICK
CONNECTS_SECOND = {
    "comes": 6 * TICK,
    "burst": 5.5 * TICK,
    "prompt": 5.5 * TICK,
    "late": DEADLINE - TICK / 2,
    "refused": 6 * TICK,
    "stalls": 99.0,
}
"""How the service treats the second session, and how long it takes to connect."""


class HungUp(Exception):
    """The caller's socket is closed."""


class Refused(Exception):
    """The service takes no session now."""


class Dropped(Exception):
    """The service's socket is closed."""


class Unexpected(Exception):
    """A message that nobody planned for."""


@dataclass(frozen=True)
class Voice:
    """One frame of an agent's voice."""

    session: int


class AskHandoff:
    """The agent asks for another one to take over."""


class Withdrawn:
    """The service takes the request back."""


class Goodbye:
    """The agent ends the conversation."""


class Event(Protocol):
    """What trio's and asyncio's events have in common."""

    def set(self) -> Any: ...
    async def wait(self) -> Any: ...


class Library(Protocol):
    """What trio and asyncio have in common, as far as this world needs it."""

    Event: Callable[[], Event]
    sleep: Callable[[float], Any]


class Inbox:
    """Messages for one reader. An exception that is put into it is raised from `get`."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.items: deque[Any] = deque()
        self.arrived: Event = world.library.Event()

    def put(self, item: object, *, first: bool = False) -> None:
        (self.items.appendleft if first else self.items.append)(item)
        self.arrived.set()

    async def get(self) -> Any:
        while not self.items:
            self.arrived = self.world.library.Event()
            await self.arrived.wait()
        if isinstance(self.items[0], HungUp):
            raise self.items[0]  # it stays: every later reader meets it too
        item = self.items.popleft()
        if isinstance(item, Exception):
            self.world.raised.append(item)
            raise item
        return item


class Tape:
    """Everything the caller has said, by number. Any number of readers may wait for a frame."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.frames: list[int] = []
        self.grown: Event = library.Event()

    def append(self, frame: int) -> None:
        self.frames.append(frame)
        self.grown.set()
        self.grown = self.library.Event()

    async def wait_frame(self, number: int) -> int:
        while len(self.frames) <= number:
            await self.grown.wait()
        return self.frames[number]


class Line:
    """The caller's telephone: `receive` what is said, `play` what is to be heard."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.inbox = Inbox(world)
        self.is_up = self.can_hear = True

    async def receive(self) -> int:
        frame: int = await self.inbox.get()
        return frame

    async def play(self, voice: Voice) -> None:
        await self.world.library.sleep(0)
        if not self.can_hear:
            raise HungUp
        self.world.heard.append((self.world.now(), voice.session))


@dataclass(eq=False)
class Session:
    """One connection to the service."""

    world: "World"
    number: int
    inbox: Inbox
    is_open: bool = True
    is_waiting: bool = False
    has_asked: bool = False
    last_words: int = LAST_WORDS
    newest: int = -1

    async def receive(self) -> Any:
        return await self.inbox.get()

    async def send(self, frame: int) -> None:
        await self.world.library.sleep(0)
        if not self.is_open:
            raise Dropped(f"session {self.number} is closed")
        self.world.received.append((frame, self.number))
        self.newest = max(self.newest, frame)

    async def refuse(self) -> None:
        """Tell the agent that no other one came: it goes on itself."""
        await self.world.library.sleep(0)
        self.is_waiting = False
        self.world.decide()

    async def close(self) -> None:
        try:
            if self.is_open:
                await self.world.library.sleep(TICK / 4)  # the closing handshake
        finally:
            if self.is_open:
                self.is_open = False
                self.inbox.put(Dropped(f"session {self.number} is closed"))

    def tick(self) -> None:
        if not self.is_open:
            return
        if self.number == 1 and not self.has_asked and self.newest >= ASKS_AT:
            self.has_asked = self.is_waiting = True
            self.world.asked_at, self.world.asked_frame = self.world.now(), self.world.said
            self.inbox.put(AskHandoff())
        elif self.newest >= (FIRST_DONE if self.number == 1 else SECOND_DONE) and not self.is_waiting:
            self.world.said_goodbye = True
            self.inbox.put(Goodbye())
        elif not self.is_waiting or self.last_words > 0:
            self.last_words -= self.is_waiting
            self.inbox.put(Voice(self.number))

    def withdraw(self) -> None:
        self.is_waiting = False
        self.world.decide()
        self.world.withdrawn_at = self.world.now()
        self.inbox.put(Withdrawn())


@dataclass(eq=False)
class World:
    """What happens outside of the call, and everything that the promises are checked against."""

    library: Library
    now: Callable[[], float]
    second: str = "comes"
    """A key of `CONNECTS_SECOND`."""
    said: int = 0
    heard: list[tuple[float, int]] = field(default_factory=list)
    """When the caller heard a frame, and of which session."""
    received: list[tuple[int, int]] = field(default_factory=list)
    """Which frame of the caller's which session was sent."""
    sessions: list[Session] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    """What the version reported."""
    raised: list[BaseException] = field(default_factory=list)
    """What there was to report."""
    left_open: list[int] = field(default_factory=list)
    connecting: int = 0
    applying: list[Event] = field(default_factory=list)
    asked_at: float | None = None
    asked_frame: int = 0
    withdrawn_at: float | None = None
    decided_at: float | None = None
    struck_at: float | None = None
    hung_up_at: float | None = None
    ended_at: float = 0.0
    said_goodbye: bool = False
    broken_session: int | None = None
    was_connecting: bool = False
    """Whether the second session was, when the reader of the first one broke."""

    def __post_init__(self) -> None:
        self.line = Line(self)
        self.tape = Tape(self.library)

    def outcome(self, outcome: str) -> None:
        """Record how the call ended."""
        self.outcomes.append(outcome)

    def error(self, error: BaseException) -> None:
        """Report an exception."""
        self.errors.append(error)

    async def connect(self, agent: str) -> Session:
        """Open a session. What is cancelled before it returns has left nothing open."""
        self.connecting += agent == "second"
        try:
            await self.library.sleep(CONNECTS_FIRST if agent == "first" else CONNECTS_SECOND[self.second])
            if self.second != "prompt":
                await self._wait_applied()
            if self.second == "burst":  # several messages come at once
                for _ in range(3):
                    await self.library.sleep(0)
        finally:
            self.connecting -= agent == "second"
        if agent == "second" and self.second == "refused":
            raise Refused
        number = 1 if agent == "first" else 2
        self.sessions.append(Session(self, number, Inbox(self)))
        self.sessions[-1].inbox.put(Voice(number))
        return self.sessions[-1]

    async def _wait_applied(self) -> None:
        applied = self.library.Event()
        self.applying.append(applied)
        await applied.wait()

    async def run(self) -> None:
        """Let the caller and the service live, tick by tick."""
        while True:
            await self.library.sleep(TICK)
            if self.line.is_up:
                self.line.inbox.put(self.said)
                self.said += 1
                if self.said == CALLER_GIVES_UP:
                    self.hang_up()
            for session in self.sessions:
                session.tick()
            await self.library.sleep(0)  # a step later, so that something may happen just before
            while self.applying:
                self.applying.pop().set()

    def decide(self) -> None:
        """Note that the handoff has been decided."""
        self.decided_at = self.decided_at or self.now()

    # The faults. Each says whether it could happen.

    def hang_up(self) -> bool:
        """The caller hangs up: the reader of the line meets it."""
        if not self.line.is_up:
            return False
        self.line.is_up, self.hung_up_at = False, self.now()
        self.line.inbox.put(HungUp())
        return True

    def hang_up_twice(self) -> bool:
        """The caller hangs up, and the socket is closed for the player, too."""
        self.line.can_hear = False
        return self.hang_up()

    def break_reader(self) -> bool:
        """The service sends what nobody planned for."""
        self.was_connecting = self.connecting > 0
        for session in self.sessions:
            if session.is_open:
                self.broken_session = session.number
                session.inbox.put(Unexpected(f"in session {session.number}"), first=True)
                return True
        return False

    def withdraw(self) -> bool:
        """The service takes the handoff back."""
        for session in self.sessions:
            if session.is_waiting and session.is_open:
                session.withdraw()
                return True
        return False
