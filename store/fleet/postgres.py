"""Many workers on one PostgreSQL: caps that hold, calls of dead workers that are closed, and the database away.

`PostgresFleet` is one worker's. `run` is its one task that writes: every `BEAT_SECONDS` it tells that it lives, with
the notes that changed; it closes what a dead worker held, gives up what has ended here, and every few seconds compares
what it holds with what the database says, so that a lost answer costs seconds. Admissions are statements of their own.

    AWAY ──a beat is answered──▶ RETURNING ──all others have reported, or 12 s──▶ UP
     ▲                                                                            │
     └──────────────────────── no answer within `PATIENCE` ───────────────────────┘

While it is AWAY, the worker lets calls in by itself: as many as it held, and its part of what was free, at its last
beat. While RETURNING it leaves free what workers that have not reported yet may have given away. A worker that was
declared dead meanwhile (it slept, or was cut off) is refused by the database under its old name, takes a new one, and
reports its calls; those for which there is no slot run on, and nobody new is let in until there is. A worker declares
others dead only after it has beaten for that long itself.
"""

import math
import random
from collections.abc import Collection, Mapping, Sequence

import attrs
import psycopg
import structlog
import trio
from trio.lowlevel import ParkingLot

from store.calls import DatabaseUnavailable
from store.databases import Arguments, Rows
from store.erasing import Subject
from store.fleet import statements
from store.fleet.commands import OtherWorkers
from store.fleet.cut_calls import adopt_on, close_dead, erase_rows
from store.fleet.driver import Database, told
from store.fleet.migrations import is_made, migrate
from store.fleet.shared import (
    BEAT_SECONDS,
    CLOCK_SECONDS,
    DEAD_SECONDS,
    START_SECONDS,
    Adopt,
    Answers,
    Fleet,
    LiveCall,
    Question,
    State,
    fresh_name,
    skew,
)
from store.fleet.statements import about_of, ask_for_slot, ask_once, free_lapsed, live_call, seat
from store.records import CallRecord, RecordError, RunningRecord, decode_record, encode_running

COMPARE_SECONDS = 6.0
KNOCK_SECONDS = 0.5
"""Between two tries to reach a database that is away."""
RETURN_SECONDS = 2.5
"""How long an admission waits for a database that has just gone (a restart takes a second or two), or for reports."""
_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class PostgresFleet(Fleet):
    """One worker's part of what the workers share; `Fleet` says what each method does."""

    database: Database
    worker: str = attrs.field(factory=fresh_name, kw_only=True)
    patience: float = attrs.field(default=RETURN_SECONDS, kw_only=True)
    state: State = attrs.field(default=State.AWAY, init=False)
    _others: OtherWorkers = attrs.field(
        default=attrs.Factory(
            lambda self: OtherWorkers(self.database, lambda: self.worker, self.answering), takes_self=True
        ),
        init=False,
    )
    _is_known: bool = attrs.field(default=False, init=False)
    """Whether the database knows this worker by its name, as far as is known here."""
    _coming: dict[str, int] = attrs.field(factory=dict, init=False)
    """Keys that are being let in: the database may know them before we do."""
    _unreported: set[str] = attrs.field(factory=set, init=False)
    """Keys that hold a slot here of which the database has not been told."""
    _freed: dict[str, str] = attrs.field(factory=dict, init=False)
    """What has ended here: the CallSid by key; none where the call was on its way."""
    _giving_up: Collection[str] = attrs.field(default=(), init=False)
    """Keys of slots that the database is being told to empty."""
    _given_up: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _noted: Mapping[str, RunningRecord] = attrs.field(factory=dict, init=False)
    """Those of `running` that the database has."""
    _noting: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _base: int = attrs.field(default=attrs.Factory(lambda self: self.max_calls, takes_self=True), init=False)
    """How many calls this worker may hold by itself; all of them, while it has never reached the database."""
    left_at: float | None = attrs.field(default=None, init=False)
    """When this worker was last UP, by the database's clock, and by ours."""
    _left_at: float = attrs.field(default=0.0, init=False)
    _workers: int = attrs.field(default=1, init=False)
    _cap: int | None = attrs.field(default=None, init=False)
    """`MAX_CALLS` of all workers at the last beat."""
    _beating_since: float = attrs.field(default=math.inf, init=False)
    _away_since: float = attrs.field(default=-math.inf, init=False)
    _compared: float = attrs.field(default=-math.inf, init=False)
    _wake: trio.Event = attrs.field(factory=trio.Event, init=False)
    _beaten: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    """Set by the next beat that is answered."""

    @property
    def is_away(self) -> bool:
        return self.state is State.AWAY

    # Slots

    async def reserve(self, key: str, seconds: float) -> bool:
        if await self._let_in(key, statements.RESERVE, {"seconds": seconds}):
            if key not in self._calls:
                self._lapses[key] = trio.current_time() + seconds
            return True
        return False

    def readmit(self, key: str, seconds: float) -> None:
        self._lapses[key] = trio.current_time() + seconds
        self._unreported.add(key)
        self._wake.set()

    async def admit(self, call: LiveCall, *, over: bool = False) -> bool:
        more = {"call_sid": call.call_sid, "about": about_of(call), "over": over}
        if not await self._let_in(call.key, statements.ADMIT, more):
            return False
        self._lapses.pop(call.key, None)
        self._calls[call.key] = call
        return True

    def free(self, key: str) -> None:
        call = self._calls.get(key)
        super().free(key)
        self._freed[key] = call.call_sid if call is not None else self._freed.get(key, "")
        self._wake.set()

    async def _let_in(self, key: str, sql: str, more: Arguments) -> bool:
        self._coming[key] = self._coming.get(key, 0) + 1
        self._freed.pop(key, None)
        deadline = trio.current_time() + self.patience
        try:
            with trio.move_on_at(deadline):
                while key in self._giving_up:  # else the same slot would be emptied afterwards
                    await self._given_up.park()
            while True:
                before = self.state
                if await self._let_in_once(key, sql, more):
                    return True
                if before is self.state is State.UP or trio.current_time() >= deadline:
                    return False
                if before is self.state:  # else a beat was answered meanwhile: what is asked now is another question
                    with trio.move_on_at(deadline):
                        await self._beaten.park()
        finally:
            self._coming[key] -= 1
            if not self._coming[key]:
                del self._coming[key]

    async def _let_in_once(self, key: str, sql: str, more: Arguments) -> bool:
        """Ask the database, if it is there; without it, count what this worker may hold by itself."""
        if self.state is not State.AWAY:
            asked = {"key": key, "worker": self.worker, "careful": self.state is State.RETURNING, "left": self.left_at}
            try:
                return await ask_for_slot(self.database, sql, {**asked, **more})
            except DatabaseUnavailable:
                self._fall_back()
            except psycopg.IntegrityError:  # declared dead
                self._is_known = False
                self._fall_back()
        is_ours = more.get("over") or key in self._lapses or key in self._calls
        if not is_ours:
            with trio.move_on_at(self._away_since + self.patience):  # it may only be restarted
                await self._beaten.park()
            if self.state is not State.AWAY:
                return await self._let_in_once(key, sql, more)
        if is_ours or self._held < self._base:
            self._unreported.add(key)
            return True
        return False

    # Notes, turns, calls of others

    async def noted(self, call_sid: str) -> CallRecord | None:
        try:
            rows = await self.database.ask(statements.NOTED, {"call_sid": call_sid})
            return decode_record(rows[0][0].encode()) if rows else None
        except (DatabaseUnavailable, RecordError) as exc:
            _log.warning("note_not_read", call_sid=call_sid, why=str(exc))
            return None

    async def claim_turn(self, per_second: float, longest: float) -> float | None:
        try:
            rows = await self.database.ask(statements.TURN, {"gap": 1 / per_second, "longest": longest})
        except DatabaseUnavailable:
            return await super().claim_turn(per_second / self._workers, longest)
        return max(0.0, float(rows[0][0])) if rows else None

    async def live(self) -> Sequence[LiveCall]:
        try:
            rows = await self.database.ask(statements.LIVE)
        except DatabaseUnavailable:
            return await super().live()
        return [live_call(about, worker) for about, worker in rows]

    async def find(self, name: str) -> LiveCall | None:
        try:
            rows = await self.database.ask(statements.FIND, {"name": name})
        except DatabaseUnavailable:
            return await super().find(name)
        return next((live_call(about, worker) for about, worker in rows), None)

    async def ask(self, question: Question, within: float) -> Answers:
        return await self._others.ask(question, within)

    async def erase(self, subject: Subject) -> int:
        async with self._noting:  # a beat that is on its way would bring a note back
            return await erase_rows(self.database, subject)

    # The task

    async def run(self, adopt: Adopt) -> None:
        """Beat, compare, listen and close what dead workers held, until cancelled; then leave."""
        self._is_known, self.state = False, State.AWAY  # also after a crash of this task
        if self._cap is None:
            self._starts_until = trio.current_time() + START_SECONDS
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, adopt)
                await self._beat_on()
        finally:
            with trio.move_on_after(1, shield=True):
                await self._leave()
            self.database.close()

    async def _serve(self, adopt: Adopt) -> None:
        """Hear and adopt, once there are tables."""
        await self._beaten.park()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._others.hear_on)
            nursery.start_soon(adopt_on, self.database, adopt)

    async def _leave(self) -> None:
        try:
            await self.database.ask(statements.LEAVE, {"worker": self.worker})
        except (DatabaseUnavailable, psycopg.Error) as exc:
            _log.warning("worker_not_signed_off", why=told(exc))

    async def _beat_on(self) -> None:
        due = trio.current_time()
        while True:
            is_due = trio.current_time() >= due
            if is_due:
                due = trio.current_time() + BEAT_SECONDS * random.uniform(0.9, 1.1)
            self._wake = trio.Event()
            try:
                if is_due:
                    await self.beat()
                elif self.state is not State.AWAY:
                    await self._give_up()
            except DatabaseUnavailable as exc:
                self._fall_back()
                due = trio.current_time() + KNOCK_SECONDS
                _log.debug("fleet_away", why=str(exc))
            with trio.move_on_at(due):
                if self.state is State.AWAY:
                    await trio.sleep_forever()
                await self._wake.wait()

    async def beat(self) -> None:
        """Tell that this worker lives, and what its calls would leave behind; do what follows from the answer.

        Raises: `DatabaseUnavailable`.
        """
        began = trio.current_time()
        try:
            await self._beat()
        except DatabaseUnavailable:
            self._fall_back()
            raise
        if self._compared >= began:
            await self.database.fill()

    async def _beat(self) -> None:
        now = trio.current_time()
        if self.state is State.AWAY and not await is_made(self.database):
            self._is_known = False  # it has come back as another one, or somebody has dropped the tables
        if not self._is_known:
            await self._enrol()
        if self.state is not State.UP or now - self._compared > COMPARE_SECONDS:
            await self._compare()
        await self._give_up()
        async with self._noting:
            allowance, workers, late, beaten_at, is_restarted, cap = (await self._send_beat())[0]
        self._is_known = allowance is not None
        if not self._is_known:
            raise DatabaseUnavailable("this worker was declared dead")
        self._beating_since = now if self._has_jumped(beaten_at, now) else min(self._beating_since, now)
        self._workers = workers
        if cap not in {self.max_calls, self._cap, None}:
            fix = "Give all workers the same MAX_CALLS; MAX_CALLS_PER_WORKER is what each of them carries."
            why = "a worker that started later has it"
            _log.warning("max_calls_differs", here=self.max_calls, counts=cap, why=why, fix=fix)
        self._cap, self._starts_until = cap, -math.inf
        patient = now - self._beating_since < DEAD_SECONDS + BEAT_SECONDS
        others_missing = late > 0 and (self.left_at is not None or is_restarted or late == workers - 1)
        if self.state is not State.UP and patient and others_missing:
            self.state, self._base = State.RETURNING, self._held
        else:
            self.left_at, self._left_at = beaten_at, now
            await self._become_up(beaten_at)
            self._base = self._held + allowance
        self._beaten.unpark_all()
        if not patient:
            await close_dead(self.database, self.worker)

    def _has_jumped(self, beaten_at: float, now: float) -> bool:
        """Whether the database's clock was set: nobody is declared dead before all have beaten by it."""
        if self.left_at is None or self.state is not State.UP:
            return False
        ahead = beaten_at - self.left_at - (now - self._left_at)
        if is_set := abs(ahead) > CLOCK_SECONDS:
            _log.warning("database_clock_jumped", seconds=round(ahead))
        return is_set

    async def _send_beat(self) -> Rows:
        running = dict(self.running)
        news = [(sid, one) for sid, one in running.items() if self._noted.get(sid) is not one]
        arguments: Mapping[str, object] = {
            "worker": self.worker,
            "left": self.left_at if self.state is not State.UP else None,
            "sids": [sid for sid, _ in news],
            "notes": [encode_running(one.record, one.lines).decode() for _, one in news],
        }
        rows = await self.database.ask(statements.BEAT, arguments, even_away=True)
        self._noted = running
        return rows

    async def _become_up(self, now: float) -> None:
        if self.state is State.UP:
            return
        _log.info("fleet_joined", worker=self.worker, workers=self._workers, calls=len(self._calls), **skew(now))
        self.database.refused_for = ""
        self._noted = {}  # a crash of the database has emptied them
        self.state = State.UP
        await self._compare()  # what was let in here since the last one
        await self._give_up()

    def _fall_back(self) -> None:
        if self.state is not State.AWAY:
            self._away_since = trio.current_time()
        if self.state is State.UP:
            _log.warning("fleet_left", worker=self.worker, calls=len(self._calls), may_hold=self._base)
        self.state, self._beating_since = State.AWAY, math.inf

    async def _enrol(self) -> None:
        await migrate(self.database)
        is_new = self.left_at is None and await self._put_name()
        while not is_new:
            self.worker = fresh_name()
            self._others.listen_anew()
            is_new = await self._put_name()
        await self.database.ask(statements.SHRINK)
        self._is_known = True

    async def _put_name(self) -> bool:
        """Tell of this worker; False where its name is known: another process has it, or an answer was lost."""
        arguments = {"worker": self.worker, "max_calls": self.max_calls}
        try:
            await self.database.ask(statements.ENROL, arguments, even_away=True)
        except psycopg.errors.UniqueViolation:
            return False
        return True

    async def _compare(self) -> None:
        """Have the database hold for us what we hold: it may have missed an end, or a whole conversation."""
        held = await self.database.ask(statements.HELD, {"worker": self.worker}, even_away=True)
        now = trio.current_time()  # a call that is let in before the answer is known by then
        ours = {*self._calls, *self._coming, *(key for key, at in self._lapses.items() if at > now)}
        if gone := [key for (key,) in held if key not in ours]:
            await self._empty(statements.UNHOLD, gone)
        if calls := list(self._calls.values()):
            report = {
                "worker": self.worker,
                "keys": [call.key for call in calls],
                "sids": [call.call_sid for call in calls],
                "abouts": [about_of(call) for call in calls],
            }
            try:
                await self.database.ask(statements.REPORT, report)
            except psycopg.IntegrityError as exc:  # declared dead in between
                self._is_known = False
                raise DatabaseUnavailable("this worker was declared dead") from exc
        await self.database.ask(statements.REFILL, {"worker": self.worker, "max_calls": self.max_calls})
        await free_lapsed(self.database)
        self._compared = trio.current_time()

    async def _give_up(self) -> None:
        """Give up what has ended here, then keep slots for what may come back, and seat who runs without one."""
        if freed := dict(self._freed):
            await self._empty(statements.FREE, [*freed], [*freed.values()])
            for key in freed:
                self._freed.pop(key, None)
            await self.database.ask(statements.SHRINK)
            await seat(self.database)
        for key in list(self._unreported):
            seconds = (until := self._lapses.get(key, 0.0)) - trio.current_time()
            is_told = seconds <= 0 or await self._ask_again(key, seconds) or self.state is State.UP
            if is_told and self._lapses.get(key, 0.0) == until:
                self._unreported.discard(key)

    async def _empty(self, sql: str, keys: Sequence[str], sids: Sequence[str] = ()) -> None:
        """Empty slots; those of them that are wanted again meanwhile are asked for afterwards."""
        self._giving_up = keys
        try:
            await self.database.ask(sql, {"worker": self.worker, "keys": keys, "sids": [*sids]}, even_away=True)
        finally:
            self._giving_up = ()
            self._given_up.unpark_all()

    async def _ask_again(self, key: str, seconds: float) -> bool:
        try:
            reserve = {"key": key, "worker": self.worker, "seconds": seconds, "careful": False, "left": None}
            return await ask_once(self.database, statements.RESERVE, reserve)
        except psycopg.IntegrityError as exc:
            self._is_known = False
            raise DatabaseUnavailable("this worker was declared dead") from exc
