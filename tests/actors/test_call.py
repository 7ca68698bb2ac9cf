"""One call: what it asks of the telephone line, and what is left of it however it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import attrs
import orjson
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from actors.call import run_call
from actors.call_services import CallPlan, CallServices
from actors.errors import AgentUnavailable
from actors.facts import ActorCrashed, BriefReady, CallEnded, CallerHungUp, FloorTaken, ReplyEnded
from actors.journal import Entry
from actors.policy import CallPolicy, Deadlines
from actors.record.record import RecordBuilder
from actors.record.recording import _JOINING
from agents.brief import Brief
from agents.roster import Roster
from agents.sentences import Sentences
from protocol.audio import BYTES_PER_SECOND
from protocol.deepgram import AgentAudioDone
from protocol.twilio import FromTwilio, MarkReached, MediaArrived, StreamStopped
from protocol.twilio.twiml import say_and_end
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from simulators.pacing import PacedClock
from simulators.twilio.codec import ClearBuffer, SendMark, SendMedia, decode_command, encode_event
from store.calls import MemoryRecords
from store.records import CallRecord
from tests.actors.fakes import (
    CALL_SID,
    END,
    HAND_OFF,
    PATIENCE,
    ROSTER,
    STREAM_SID,
    FirstChoice,
    Service,
    facts_in,
    heard,
    says,
    speech,
    words,
)

PLAN = CallPlan(CALL_SID, STREAM_SID, "inbound", "+15551230001", "+15551230002")


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[structlog.typing.EventDict]]:
    """The log lines; a test of a crash needs no traceback on the terminal."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@attrs.define(eq=False)
class Phone:
    """Twilio's end: plays what it is sent in real time, and echoes marks."""

    socket: MemoryWebSocket
    played: float = 0.0
    sequence: int = 1

    async def run(self) -> None:
        play_end = 0.0
        async with trio.open_nursery() as nursery:
            with suppress(ConnectionClosed):
                while True:
                    match decode_command(await self.socket.get_message()):
                        case SendMedia(payload=audio):
                            self.played += len(audio) / BYTES_PER_SECOND
                            play_end = max(play_end, trio.current_time()) + len(audio) / BYTES_PER_SECOND
                        case SendMark(name=name):
                            nursery.start_soon(self._echo, name, play_end)
                        case ClearBuffer():
                            play_end = 0.0

    async def _echo(self, name: str, at: float) -> None:
        await trio.sleep_until(at)
        with suppress(ConnectionClosed):
            await self.say(MarkReached(name))

    async def say(self, event: FromTwilio) -> None:
        self.sequence += 1
        await self.socket.send_message(encode_event(event, sequence=self.sequence, stream_sid=STREAM_SID))

    async def stop(self) -> None:
        await self.say(StreamStopped())


@attrs.define(eq=False)
class Operator:
    """The telephone line: does what the test says when it is asked."""

    act: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    asked: list[tuple[str, str]] = attrs.field(factory=list)
    at: list[float] = attrs.field(factory=list)

    async def hang_up(self, call_sid: str) -> None:
        await self._do("hang_up", call_sid)

    async def redirect(self, call_sid: str, twiml: str) -> None:
        await self._do("redirect", twiml)

    async def _do(self, what: str, detail: str) -> None:
        self.asked.append((what, detail))
        self.at.append(trio.current_time())
        await self.act()


@attrs.define(eq=False)
class Shelf(MemoryRecords):
    """A store that does what the test says before it keeps a record."""

    act: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    saved: list[CallRecord] = attrs.field(factory=list)

    async def save(self, record: CallRecord) -> None:
        await self.act()
        self.saved.append(record)


async def fail() -> None:
    raise ValueError("it does not work")


async def a_brief(_messages: list[dict[str, str]]) -> str:
    await trio.lowlevel.checkpoint()
    return '{"summary": "Somebody wants a pension."}'


async def a_bug(_messages: list[dict[str, str]]) -> str:
    raise ValueError("a bug")


@attrs.define(eq=False)
class Scene:
    """A call, and everything outside of it."""

    services: CallServices
    service: Service
    phone: Phone
    line: Operator
    records: Shelf
    entries: list[Entry]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    returned: CallRecord | None = None
    over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, media: MemoryWebSocket, plan: CallPlan) -> None:
        with self.scope:
            self.returned = await run_call(media, plan, self.services)
        self.over.set()

    async def ended(self) -> CallRecord:
        """Wait until the call is over, and return the record that was kept."""
        with trio.fail_after(PATIENCE):
            await self.over.wait()
        (record,) = self.records.saved
        assert self.service.open == 0
        return record

    async def wait_over(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.over.wait()

    @property
    def crashes(self) -> list[tuple[str, str]]:
        return [(fact.actor, fact.error) for fact in facts_in(self.entries, ActorCrashed)]

    async def say_goodbye(self) -> None:
        """Let the first agent say goodbye for a second, and end the conversation."""
        far = await self.service.live()
        await far.take_turn("That was all.")
        await far.say(words(1), says("Goodbye."), AgentAudioDone(), END)


@asynccontextmanager
async def a_call(
    policy: CallPolicy | None = None,
    *,
    plan: CallPlan = PLAN,
    ask_brief: Callable[[list[dict[str, str]]], Awaitable[str]] = a_brief,
    refusals: tuple[Exception | None, ...] = (),
    recordings: Path | None = None,
    records_audio: bool = True,
    rng: Random | None = None,
    roster: Roster = ROSTER,
) -> AsyncIterator[Scene]:
    ours, theirs = memory_websocket_pair()
    service, line, records, phone = Service(), Operator(), Shelf(), Phone(theirs)
    service.refusals.extend(refusals)
    entries: list[Entry] = []
    services = CallServices(
        roster=roster,
        connect=service.connect,
        ask_brief=ask_brief,
        line=line,
        records=records,
        policy=policy or CallPolicy(),
        recordings=recordings,
        records_audio=lambda _line: records_audio,
        recording_at="s3://bucket/{}/call.wav".format,
        observe=entries.append,
        rng=rng or FirstChoice(),
    )
    scene = Scene(services, service, phone, line, records, entries)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(phone.run)
        nursery.start_soon(scene.run, ours, plan)
        yield scene
        nursery.cancel_scope.cancel(reason="end of the test")


@pytest.mark.parametrize(
    ("direction", "says"), [("inbound", "The customer called us."), ("outbound", "We called the customer.")]
)
async def test_an_agent_is_told_who_has_called_whom(direction: str, says: str, autojump_clock: MockClock) -> None:
    async with a_call(plan=attrs.evolve(PLAN, direction=direction)) as scene:
        far = await scene.service.live()

        assert says in str(far.settings)


# The agents end it


async def test_a_call_whose_agent_ends_it_is_hung_up_and_complete(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        await scene.say_goodbye()
        record = await scene.ended()

        assert scene.line.asked == [("hang_up", CALL_SID)]
        assert scene.phone.played == pytest.approx(1)
        assert (record.outcome, record.call_sid, record.direction) == ("completed", CALL_SID, "inbound")
        assert (record.caller, record.line) == ("+15551230001", "+15551230002")
        assert [(turn.speaker, turn.heard) for turn in record.transcript] == [
            ("caller", "That was all."),
            ("first", "Goodbye."),
        ]
        assert scene.returned == record


async def test_what_is_known_beforehand_is_told_to_the_first_agent(autojump_clock: MockClock) -> None:
    plan = attrs.evolve(PLAN, context=Brief(summary="An old friend of the house."))
    async with a_call(plan=plan) as scene:
        far = await scene.service.live()

        assert "An old friend of the house." in str(far.settings)


async def test_a_line_that_cannot_hang_up_does_not_keep_the_call(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        scene.line.act = fail
        await scene.say_goodbye()
        record = await scene.ended()

        assert record.outcome == "completed"
        assert scene.crashes == [("line (hang_up)", "ValueError: it does not work")]


async def test_a_line_that_does_not_answer_is_given_up_at_its_deadline(autojump_clock: MockClock) -> None:
    async with a_call(CallPolicy(deadlines=Deadlines(hang_up=3.0))) as scene:
        scene.line.act = trio.sleep_forever
        await scene.say_goodbye()
        record = await scene.ended()

        assert record.outcome == "completed"
        assert trio.current_time() - scene.line.at[0] == pytest.approx(3)
        assert scene.crashes == [("line (hang_up)", "TimeoutError: no answer within 3 s")]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_stop_that_our_hanging_up_causes_leaves_the_call_completed(
    answers: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as scene:

        async def stop() -> None:
            await scene.phone.stop()
            await trio.sleep(0.1 if answers else PATIENCE)

        scene.line.act = stop
        await scene.say_goodbye()
        record = await scene.ended()

        assert record.outcome == "completed"


# The caller ends it


@pytest.mark.parametrize("how", ["stop", "disconnect", "both"])
async def test_a_caller_who_hangs_up_ends_the_call_at_once(how: str, autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        far = await scene.service.live()
        await far.greet("Hello there.", 4)
        await trio.sleep(1)
        if how != "disconnect":
            await scene.phone.stop()
        if how != "stop":
            scene.phone.socket.drop()
        record = await scene.ended()

        assert record.outcome == "caller_hung_up"
        assert trio.current_time() == pytest.approx(1)
        assert scene.line.asked == []
        assert facts_in(scene.entries, CallEnded)[0].outcome == "caller_hung_up"


async def test_a_caller_who_hangs_up_before_anybody_answers_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        await scene.service.answer()
        await scene.phone.stop()
        record = await scene.ended()

        assert (record.outcome, record.agents) == ("caller_hung_up", ())


async def test_a_caller_who_hangs_up_during_a_handoff_leaves_no_session_behind(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        first = await scene.service.live()
        await first.say(heard("Yes."), HAND_OFF)
        await scene.service.answer()
        await scene.phone.stop()
        record = await scene.ended()

        assert record.outcome == "caller_hung_up"
        assert [handoff.to_agent for handoff in record.handoffs] == ["second"]


async def test_a_line_that_is_dead_ends_the_call_and_the_record_says_so(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        far = await scene.service.live()
        await far.greet("Hello there.", 1)
        record = await scene.ended()

        assert (record.outcome, record.faults) == ("line_dead", ("media stream: the line sent no audio",))
        assert trio.current_time() == pytest.approx(10)
        assert facts_in(scene.entries, CallerHungUp) == [CallerHungUp("no media")]


# Nobody is left


BUSY = AgentUnavailable("HTTP 503")


async def test_when_no_agent_is_left_somebody_else_says_so_in_the_agents_language(autojump_clock: MockClock) -> None:
    spanish = Sentences(apology="Lo siento.", language="es-MX")
    agents = {name: attrs.evolve(agent, sentences=spanish) for name, agent in ROSTER.agents.items()}
    async with a_call(roster=attrs.evolve(ROSTER, agents=agents), refusals=(BUSY,) * 3) as scene:
        record = await scene.ended()

        ((what, twiml),) = scene.line.asked
        assert what == "redirect"
        assert '<Say language="es-MX">Lo siento.</Say><Hangup />' in twiml
        assert record.outcome == "no_agent"


async def test_when_no_agent_is_left_the_call_goes_to_the_fallback_number(autojump_clock: MockClock) -> None:
    """From our line: who is dialled may refuse a caller who withholds their own."""
    policy = CallPolicy(our_number="+15551230000", fallback_number="+15551239999")
    async with a_call(policy, refusals=(BUSY,) * 3) as scene:
        await scene.ended()

        assert (
            '<Dial callerId="+15551230000" timeout="20"><Number>+15551239999</Number></Dial><Hangup />'
            in (scene.line.asked[0][1])
        )


async def test_the_apology_waits_for_what_the_caller_is_hearing(autojump_clock: MockClock) -> None:
    """2 s are left of what the agent said when it is lost for good."""
    async with a_call() as scene:
        far = await scene.service.live()
        await far.greet("Hello there.", 3)
        await trio.sleep(1)
        scene.service.refusals.append(AgentUnavailable("HTTP 401", retryable=False))
        far.socket.drop()
        await scene.ended()

        assert scene.line.at == [pytest.approx(3, abs=0.05)]


async def test_the_apology_does_not_wait_for_a_long_speech(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        far = await scene.service.live()
        await far.greet("Hello there.", 60)
        await trio.sleep(1)
        scene.service.refusals.append(AgentUnavailable("HTTP 401", retryable=False))
        far.socket.drop()
        await scene.ended()

        assert scene.line.at[0] < 1 + 3.2


async def test_a_line_that_does_not_take_the_apology_does_not_keep_the_call(autojump_clock: MockClock) -> None:
    async with a_call(refusals=(BUSY,) * 3) as scene:
        scene.line.act = trio.sleep_forever
        record = await scene.ended()

        assert record.outcome == "no_agent"
        assert [actor for actor, _ in scene.crashes] == ["line (redirect)"]


def test_what_the_network_says_is_safe_to_write_into_xml() -> None:
    assert "Sorry &amp; &lt;goodbye&gt;" in say_and_end("Sorry & <goodbye>")


# Actors that crash


async def test_a_summarizer_that_crashes_costs_the_brief_and_never_the_call(autojump_clock: MockClock) -> None:
    async with a_call(ask_brief=a_bug) as scene:
        first = await scene.service.live()
        await first.take_turn("I want a pension.")
        await wait_all_tasks_blocked()
        await first.take_turn("Still there?")
        await first.greet("Yes.")
        await trio.sleep(2)
        await first.say(heard("Then put me through."), HAND_OFF)
        second = await scene.service.live()
        await second.greet("Goodbye.")
        await second.say(END)
        record = await scene.ended()

        assert record.outcome == "completed"
        assert record.restarts == 0
        assert scene.crashes == [("summarizer", "ValueError: a bug")]
        assert [fact.source for fact in facts_in(scene.entries, BriefReady)] == ["extract"]
        assert "I want a pension." in str(second.settings)


async def test_a_disk_that_takes_nothing_costs_the_files_and_never_the_call(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("no folder")
    policy = CallPolicy(deadlines=Deadlines(goodbye_onset=0.01))
    context, logs = structlog.contextvars, structlog.testing.capture_logs([structlog.contextvars.merge_contextvars])
    with context.bound_contextvars(call="this call"), logs as lines:
        async with a_call(policy, recordings=tmp_path / "full") as scene:
            far = await scene.service.live()
            await trio.sleep(1.1)  # the scribe writes with the next second
            await far.say(heard("That was all."), words(0.1), says("Goodbye."), AgentAudioDone(), END)
            record = await scene.ended()

    assert [line.get("call") for line in lines if line["event"] == "writing_refused"] == ["this call"]
    assert record.outcome == "completed"
    assert scene.crashes == []
    assert [fault.partition(":")[0] for fault in record.faults] == ["the disk refuses journal and recording"]


class BrokenDice(Random):
    """Fails where the Supervisor draws its delay: a bug that no restart covers."""

    def uniform(self, a: float, b: float) -> float:
        raise ValueError("a bug")


async def test_a_bug_while_a_session_starts_is_an_unavailable_agent_and_tried_again(
    autojump_clock: MockClock,
) -> None:
    async with a_call(refusals=(ValueError("a bug"),)) as scene:
        await scene.say_goodbye()
        record = await scene.ended()

        assert record.outcome == "completed"
        assert record.faults == ("first could not start: ValueError: a bug",)


async def test_a_bug_in_the_call_ends_it_with_a_record_and_goes_no_further(
    logged: list[structlog.typing.EventDict], autojump_clock: MockClock
) -> None:
    async with a_call(refusals=(AgentUnavailable("busy"),), rng=BrokenDice()) as scene:
        record = await scene.ended()

        assert record.outcome == "crashed"
        assert scene.returned == record
        assert scene.crashes == [("call", "ValueError: a bug")]
        assert "call crashed: ValueError: a bug" in record.faults
        assert [line["event"] for line in logged] == ["call_crashed"]


# The record


async def test_a_cancelled_call_leaves_a_record(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        await scene.service.live()
        scene.scope.cancel(reason="server stops")
        record = await scene.ended()

        assert scene.scope.cancelled_caught
        assert scene.returned is None
        assert record.outcome == "cut"
        assert [period.agent for period in record.agents] == ["first"]


async def test_a_store_that_fails_hurts_nobody(
    logged: list[structlog.typing.EventDict], autojump_clock: MockClock
) -> None:
    async with a_call() as scene:
        scene.records.act = fail
        await scene.service.live()
        await scene.phone.stop()
        await scene.wait_over()

        assert scene.returned is not None
        assert scene.returned.outcome == "caller_hung_up"
        assert [line["event"] for line in logged] == ["record_not_saved"]


async def test_a_store_that_fails_once_is_asked_once_more(autojump_clock: MockClock) -> None:
    async with a_call() as scene:

        async def fail_once() -> None:
            scene.records.act = trio.lowlevel.checkpoint
            await fail()

        scene.records.act = fail_once
        await scene.service.live()
        await scene.phone.stop()

        assert (await scene.ended()).outcome == "caller_hung_up"


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_store_that_does_not_answer_is_given_up_at_its_deadline(
    cancelled: bool, logged: list[structlog.typing.EventDict], autojump_clock: MockClock
) -> None:
    async with a_call(CallPolicy(deadlines=Deadlines(settle=2.0))) as scene:
        scene.records.act = trio.sleep_forever
        await scene.service.live()
        await trio.sleep(1)
        if cancelled:
            scene.scope.cancel()
        else:
            await scene.phone.stop()
        await scene.wait_over()

        assert trio.current_time() == pytest.approx(3)
        assert (logged[-1]["what"], logged[-1]["why"]) == ("record", "not done in 2 s")


@pytest.mark.slow
async def test_the_files_are_written_though_the_store_does_not_answer(tmp_path: Path) -> None:
    async with a_call(CallPolicy(deadlines=Deadlines(settle=0.5)), recordings=tmp_path) as scene:
        scene.records.act = trio.sleep_forever
        await scene.service.live()
        await scene.phone.stop()
        await scene.wait_over()

        assert (tmp_path / CALL_SID / "record.json").exists()


@pytest.mark.slow
async def test_a_recording_that_waits_for_others_is_late_and_the_record_is_kept(
    logged: list[structlog.typing.EventDict], tmp_path: Path
) -> None:
    async with a_call(CallPolicy(deadlines=Deadlines(settle=2.0)), recordings=tmp_path) as scene:
        await scene.service.live()
        await scene.phone.stop()
        with _JOINING:
            await scene.wait_over()

        assert (tmp_path / CALL_SID / "record.json").exists()
        assert [line["event"] for line in logged] == ["recording_late"]


async def test_a_recorded_call_leaves_its_files(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with a_call(recordings=tmp_path) as scene:
        far = await scene.service.live()
        await scene.phone.say(MediaArrived(speech(50), None))
        await far.say(words(0.3), says("Hello."), AgentAudioDone())
        await trio.sleep(0.4)
        await scene.phone.stop()
        record = await scene.ended()

        folder = tmp_path / CALL_SID
        kept = {file.name for file in folder.iterdir()}
        assert kept == {"call.wav", "journal.jsonl", "record.json", "transcript.json"}
        assert (folder / "call.wav").stat().st_size == 44 + 4 * 50 * 160
        assert orjson.loads((folder / "record.json").read_bytes())["outcome"] == record.outcome
        assert record.recording == f"s3://bucket/{CALL_SID}/call.wav"
        assert len((folder / "journal.jsonl").read_text().splitlines()) == len(scene.entries)


async def test_no_audio_is_written_of_a_line_whose_audio_is_not_recorded(
    tmp_path: Path, fast_clock: PacedClock
) -> None:
    async with a_call(recordings=tmp_path, records_audio=False) as scene:
        far = await scene.service.live()
        await scene.phone.say(MediaArrived(speech(50), None))
        await far.say(words(0.3), says("Hello."), AgentAudioDone())
        await trio.sleep(2.4)
        under_way = {file.name for file in (tmp_path / CALL_SID).iterdir()}
        await scene.phone.stop()
        record = await scene.ended()

        assert under_way == {"journal.jsonl"}
        kept = {file.name for file in (tmp_path / CALL_SID).iterdir()}
        assert kept == {"journal.jsonl", "record.json", "transcript.json"}
        assert record.recording == ""


async def test_every_fact_is_observed_in_order_and_the_frames_are_counted(autojump_clock: MockClock) -> None:
    async with a_call() as scene:
        far = await scene.service.live()
        await scene.phone.say(MediaArrived(speech(1), None))
        await scene.phone.say(MediaArrived(speech(1), None))
        await far.greet("Hello there.", 1)
        await trio.sleep(2)
        await scene.phone.stop()
        record = await scene.ended()

        assert [entry.seq for entry in scene.entries] == list(range(len(scene.entries)))
        assert (scene.entries[0].event, scene.entries[-1].event) == ("call_started", "call_ended")
        assert (record.frames.caller_in, record.frames.agent_in, record.frames.agent_sent) == (2, 50, 50)
        assert [fact.heard for fact in facts_in(scene.entries, ReplyEnded)] == ["Hello there."]
        assert len(facts_in(scene.entries, FloorTaken)) == 1


async def test_an_observer_that_raises_costs_the_call_and_not_its_record(autojump_clock: MockClock) -> None:
    def look_away(_entry: Entry) -> None:
        raise ValueError("the live view is broken")

    records, service = Shelf(), Service()
    media, _ = memory_websocket_pair()
    services = CallServices(ROSTER, service.connect, None, Operator(), records, observe=look_away)
    with pytest.raises(ValueError, match="the live view is broken"):
        await run_call(media, PLAN, services)

    assert [(record.call_sid, record.outcome) for record in records.saved] == [(CALL_SID, "crashed")]
    assert service.open == 0


@attrs.define(eq=False)
class Turns(trio.abc.Instrument):
    """Counts the turns of the scheduler."""

    count: int = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_records_of_calls_that_end_in_one_moment_are_made_one_a_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long call that takes a millisecond, and the others talk on meanwhile."""
    service, records, turns, made_in = Service(), Shelf(), Turns(), list[int]()
    make = RecordBuilder.record

    def noted(builder: RecordBuilder) -> CallRecord:
        made_in.append(turns.count)
        return make(builder)

    monkeypatch.setattr(RecordBuilder, "record", noted)
    services = CallServices(ROSTER, service.connect, None, Operator(), records)
    trio.lowlevel.add_instrument(turns)
    async with trio.open_nursery() as nursery:
        for name in ("CA1", "CA2", "CA3"):
            media, _ = memory_websocket_pair()
            nursery.start_soon(run_call, media, attrs.evolve(PLAN, call_sid=name), services)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel(reason="all hang up")

    assert len(records.saved) == 3
    assert len(set(made_in)) == 3


async def test_a_loop_that_is_held_up_while_calls_end_costs_no_record(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is blocked for longer than a record may take, while calls wait for their turn."""
    service, records, make, blocks = Service(), Shelf(), RecordBuilder.record, [10.0]

    def blocking(builder: RecordBuilder) -> CallRecord:
        while blocks:
            autojump_clock.jump(blocks.pop())
        return make(builder)

    monkeypatch.setattr(RecordBuilder, "record", blocking)
    services = CallServices(ROSTER, service.connect, None, Operator(), records)
    async with trio.open_nursery() as nursery:
        for name in ("CA1", "CA2", "CA3"):
            media, _ = memory_websocket_pair()
            nursery.start_soon(run_call, media, attrs.evolve(PLAN, call_sid=name), services)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel(reason="all hang up")

    assert {record.call_sid for record in records.saved} == {"CA1", "CA2", "CA3"}
