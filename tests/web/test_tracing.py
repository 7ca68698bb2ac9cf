"""A call is a trace at an OTLP receiver: a tree of what happened, without what was said unless that is wanted."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import attrs
import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from trio.testing import MockClock

from actors import facts
from actors.call_services import CallPlan, CallServices
from actors.journal import Journal
from settings import wants_traces
from store.redaction import CARDS, CallRedaction
from tests.calls.test_redacted import SPLIT, found_in
from tests.calls.tiny import CALL_SID, TinyWorld
from tests.web.fakes import LEAD, STREAM_SID, settings
from web.calls.call_trace import CAPTURE, CallTrace, Tracing, trace_id_of
from web.services import tracing

logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
logging.getLogger("opentelemetry").propagate = False  # threads that are left say so after their test
THINKS = "open_ai", "gpt-5.4-mini"


@attrs.define
class Receiver:
    """An OTLP receiver on a port."""

    server: ThreadingHTTPServer
    requests: list[ExportTraceServiceRequest] = attrs.field(factory=list)
    seconds: float = 0.0

    @property
    def environ(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_address[1]}"}

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            time.sleep(found.seconds)
            found.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass  # nobody reads it

    found = Receiver(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", CAPTURE, "OTEL_SERVICE_NAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def attributes_of(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


def tree(spans: list[Span]) -> dict[str, set[str]]:
    """Return the names of the spans below each name."""
    names = {span.span_id: span.name for span in spans}
    found: dict[str, set[str]] = {}
    for span in spans:
        found.setdefault(names.get(span.parent_span_id, ""), set()).add(span.name)
    return found


async def traced_call(environ: Mapping[str, str]) -> Tracing:
    """Carry a whole call that is traced, and send what is left."""
    traces = Tracing.of(environ)

    def changed(services: CallServices) -> CallServices:
        follow = lambda plan: CallTrace(plan, traces, *THINKS).read  # noqa: E731
        return attrs.evolve(services, followers=(follow,), trace_id=trace_id_of)

    world = TinyWorld(changed=changed)
    await world.call()
    (record,) = await world.records.list()
    assert record.trace_id == trace_id_of(CALL_SID)
    return traces


async def test_a_call_is_a_tree_of_spans(receiver: Receiver, autojump_clock: MockClock) -> None:
    traces = await traced_call(receiver.environ)
    traces.provider.shutdown()
    spans, below = receiver.spans, tree(receiver.spans)

    assert {span.trace_id.hex() for span in spans} == {trace_id_of(CALL_SID)}
    assert below[""] == {"call"}
    assert "handoff" in below["call"]
    assert len([name for name in below["call"] if name.startswith("invoke_agent ")]) == 2
    assert {"connect", "Brief", "commit"} <= below["handoff"]
    assert any(name.startswith("execute_tool ") for names in below.values() for name in names)
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        parent = by_id.get(span.parent_span_id)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert parent is None or parent.start_time_unix_nano <= span.start_time_unix_nano
    call = next(span for span in spans if span.name == "call")
    assert attributes_of(call)["switchboard.call_sid"] == CALL_SID
    assert {event.name for event in call.events} >= {"restart"}


async def test_nothing_that_was_said_is_in_a_trace_by_default(receiver: Receiver, autojump_clock: MockClock) -> None:
    (await traced_call(receiver.environ)).provider.shutdown()
    sent = b"".join(request.SerializeToString() for request in receiver.requests)

    assert [word for word in (b"Words", b"pension", b"messages", b"arguments") if word in sent] == []
    assert b"service.name" in sent
    assert b"switchboard" in sent


async def test_what_was_said_goes_along_where_it_is_asked_for(receiver: Receiver, autojump_clock: MockClock) -> None:
    (await traced_call({**receiver.environ, CAPTURE: "span_only"})).provider.shutdown()
    said = [attributes_of(span).get("gen_ai.input.messages", "") for span in receiver.spans]

    assert any("Words" in text for text in said)


def test_a_card_said_in_parts_is_in_no_trace(receiver: Receiver) -> None:
    traces = Tracing.of({**receiver.environ, CAPTURE: "span_only"})

    async def note() -> None:
        trace = CallTrace(CallPlan(CALL_SID, STREAM_SID, "inbound"), traces, *THINKS)
        journal = Journal([trace.read], redaction=CallRedaction(CARDS))
        for fact in (*SPLIT, facts.CallEnded("completed", 9.0, {})):
            journal.note(fact)
        await trio.lowlevel.checkpoint()

    trio.run(note, clock=MockClock(autojump_threshold=0))
    traces.provider.shutdown()
    said = " ".join(str(attributes_of(span)) for span in receiver.spans)

    assert "[digits]" in said
    assert found_in(said.encode()) == []


def traced(receiver: Receiver, *noted: facts.Fact) -> dict[str, Span]:
    """Trace facts, a second apart, and return the spans by name."""
    traces = Tracing.of(receiver.environ)

    async def note() -> None:
        trace = CallTrace(CallPlan(CALL_SID, STREAM_SID, "inbound", LEAD), traces, *THINKS)
        journal = Journal([trace.read])
        for fact in noted:
            await trio.sleep(1)
            journal.note(fact)

    trio.run(note, clock=MockClock(autojump_threshold=0))
    traces.provider.shutdown()
    return {span.name: span for span in receiver.spans}


def test_a_handoff_that_is_refused_while_another_is_under_way_takes_nothing_of_it(receiver: Receiver) -> None:
    traced(
        receiver,
        facts.CallStarted(CALL_SID, STREAM_SID, "inbound"),
        facts.HandoffAsked("qualifier", "advisor", "agreed", "", 50),
        facts.HandoffAsked("qualifier", "closer", "again", "", 60),
        facts.HandoffCommitted("qualifier", "advisor", 2.0),
        facts.CallEnded("completed", 9.0, {}),
    )
    told = {
        attributes_of(span)["switchboard.to_agent"]: span.status.message
        for span in receiver.spans
        if span.name == "handoff"
    }

    assert told == {"advisor": "", "closer": "another was under way"}


def test_a_number_in_an_error_or_a_reason_is_masked(receiver: Receiver) -> None:
    why = "no line to sip:alice@acme.example and " + LEAD
    spans = traced(
        receiver,
        facts.CallStarted(CALL_SID, STREAM_SID, "inbound"),
        facts.SessionConnecting("qualifier", 1, "start"),
        facts.SessionRestarting("qualifier", 0.5, why),
        facts.SessionFailed("qualifier", 1, why, retryable=False),
        facts.CallEnded("failed", 9.0, {}),
    )
    told = [spans["invoke_agent qualifier"].status.message, str(spans["call"].events)]

    assert [(LEAD in text, "alice" in text, "+***" in text) for text in told] == [(False, False, True)] * 2


def test_an_answer_has_its_parts_one_after_the_other(receiver: Receiver) -> None:
    by_name = traced(
        receiver,
        facts.CallStarted(CALL_SID, STREAM_SID, "inbound"),
        facts.SessionConnecting("advisor", 1, "first"),
        facts.SessionReady("advisor", 1, "r1", 0.1),
        facts.FloorTaken("advisor", 1, 0),
        facts.TurnHeard("advisor", "I am John."),
        facts.LatencyReported("advisor", 0, stt_latency=0.2, ttt_text_latency=0.5, tts_latency=0.1),
        facts.SilenceMet("advisor", 3.5, "agent"),
        facts.SessionCrashed("advisor", 1, "dropped", retryable=True),
        facts.CallEnded("crashed", 9.0, {}),
    )
    turn, parts = by_name["turn"], [by_name[name] for name in ("stt", "chat gpt-5.4-mini", "tts")]
    lengths = [(part.end_time_unix_nano - part.start_time_unix_nano) / 1e9 for part in parts]

    assert lengths == pytest.approx([0.2, 0.5, 0.1])
    assert parts[1].start_time_unix_nano == turn.start_time_unix_nano == parts[0].end_time_unix_nano
    assert attributes_of(parts[1])["gen_ai.request.model"] == "gpt-5.4-mini"
    assert [event.name for event in by_name["call"].events] == ["silence"]
    assert by_name["invoke_agent advisor"].status.message == "dropped"
    assert b"John" not in b"".join(request.SerializeToString() for request in receiver.requests)


SESSION = (
    facts.CallStarted(CALL_SID, STREAM_SID, "inbound"),
    facts.SessionConnecting("advisor", 1, "first"),
    facts.SessionReady("advisor", 1, "r1", 0.1),
    facts.FloorTaken("advisor", 1, 0),
)
HEARD = facts.TurnHeard("advisor", "What do I owe?")
CHAT, LOOK_UP, CHECK = "chat gpt-5.4-mini", "execute_tool look_up", "execute_tool check"


def called(name: str, number: int) -> facts.Fact:
    return facts.FunctionCalled("advisor", f"f{number}", name, "{}", number)


def answered(name: str, number: int) -> facts.Fact:
    return facts.FunctionAnswered("advisor", f"f{number}", name, "1", ok=True, took=0.1, number=number)


def started(generation: int) -> facts.Fact:
    return facts.ReplyStarted("advisor", generation)


def ended(generation: int, *, complete: bool = True) -> facts.Fact:
    return facts.ReplyEnded("advisor", generation, f"Reply {generation}.", "Reply", complete)


def told(generation: int, **seconds: float) -> facts.Fact:
    return facts.LatencyReported("advisor", generation, stt_latency=0.2, **seconds)


Drawn: TypeAlias = list[tuple[str, float, float]]
BOTH_WAYS_OF_COUNTING = pytest.mark.parametrize("before", [0.0, 0.6], ids=["from the pass", "from the turn"])
"""Deepgram does not say what it counts the LLM's seconds of a second pass from: `before` is what is behind it then."""


def drawn(receiver: Receiver, *noted: tuple[float, facts.Fact]) -> Drawn:
    """Trace facts of a call in which the advisor has the floor; return its turns and what is in them, by time."""
    traces = Tracing.of(receiver.environ)

    async def note() -> None:
        journal = Journal([CallTrace(CallPlan(CALL_SID, STREAM_SID, "inbound", LEAD), traces, *THINKS).read])
        began = trio.current_time()
        for at, fact in (*((0.0, fact) for fact in SESSION), *noted, (30.0, facts.CallEnded("completed", 30.0, {}))):
            await trio.sleep_until(began + at)
            journal.note(fact)

    trio.run(note, clock=MockClock(autojump_threshold=0))
    traces.provider.shutdown()
    zero = next(span for span in receiver.spans if span.name == "call").start_time_unix_nano
    within = [span for span in receiver.spans if span.name.split()[0] in {"turn", "stt", "chat", "tts", "execute_tool"}]

    def seconds(at: int) -> float:
        return round((at - zero) / 1e9, 2)

    times = [(span.name, seconds(span.start_time_unix_nano), seconds(span.end_time_unix_nano)) for span in within]
    return sorted(times, key=lambda span: span[1:])


@BOTH_WAYS_OF_COUNTING
def test_the_second_pass_of_a_turn_begins_where_its_function_was_answered(before: float, receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.4, called("look_up", 1)),
        (5.6, answered("look_up", 1)),
        (5.9, told(0, ttt_token_latency=0.3, ttt_tool_latency=0.4)),
        (6.0, started(2)),
        (6.0, told(2, ttt_text_latency=0.3 + before, tts_latency=0.1, total_latency=1.0)),
        (9.0, ended(2)),
    )

    assert found == [
        ("stt", 4.8, 5.0), (CHAT, 5.0, 5.4), ("turn", 5.0, 9.0), (LOOK_UP, 5.4, 5.6),
        (CHAT, 5.6, 5.9), ("tts", 5.9, 6.0)
    ]  # fmt: skip


@BOTH_WAYS_OF_COUNTING
def test_a_turn_with_two_functions_one_after_the_other_has_three_passes(before: float, receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.4, called("look_up", 1)),
        (5.6, answered("look_up", 1)),
        (5.9, told(0, ttt_tool_latency=0.4)),
        (6.0, called("check", 2)),
        (6.5, answered("check", 2)),
        (6.8, told(0, ttt_tool_latency=0.4 + before)),
        (7.0, started(2)),
        (7.0, told(2, ttt_text_latency=0.4 + 2.5 * before, tts_latency=0.1, total_latency=2.0)),
        (9.0, ended(2)),
    )

    assert found == [
        ("stt", 4.8, 5.0), (CHAT, 5.0, 5.4), ("turn", 5.0, 9.0), (LOOK_UP, 5.4, 5.6), (CHAT, 5.6, 6.0),
        (CHECK, 6.0, 6.5), (CHAT, 6.5, 6.9), ("tts", 6.9, 7.0)
    ]  # fmt: skip


def test_after_two_functions_at_once_the_model_goes_on_with_the_last_answer(receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.4, called("look_up", 1)),
        (5.4, called("check", 2)),
        (5.5, answered("check", 2)),
        (6.0, answered("look_up", 1)),
        (6.2, told(0, ttt_tool_latency=0.4)),
        (6.5, started(2)),
        (6.5, told(2, ttt_text_latency=0.4, tts_latency=0.1, total_latency=1.5)),
        (9.0, ended(2)),
    )

    assert [span for span in found if span[0] in {"stt", CHAT}] == [
        ("stt", 4.8, 5.0), (CHAT, 5.0, 5.4), (CHAT, 6.0, 6.4)
    ]  # fmt: skip


def test_words_said_along_with_a_function_are_of_the_pass_that_called_it(receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.4, called("look_up", 1)),
        (5.4, answered("look_up", 1)),
        (5.5, started(2)),
        (5.5, told(2, ttt_text_latency=0.4, tts_latency=0.1, total_latency=0.5)),
        (7.0, ended(2)),
    )

    assert found == [
        ("stt", 4.8, 5.0), (CHAT, 5.0, 5.4), ("turn", 5.0, 7.0), (LOOK_UP, 5.4, 5.4), ("tts", 5.4, 5.5)
    ]  # fmt: skip


def test_a_function_before_any_turn_begins_the_turn_of_its_reply(receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (1.0, called("look_up", 1)),
        (1.5, answered("look_up", 1)),
        (2.0, started(1)),
        (2.0, told(1, ttt_text_latency=0.4, tts_latency=0.1, total_latency=1.0)),
        (4.0, ended(1)),
    )

    assert found == [(LOOK_UP, 1.0, 1.5), (CHAT, 1.5, 1.9), ("turn", 1.5, 4.0), ("tts", 1.9, 2.0)]


def test_a_filler_is_no_answer_and_the_turn_goes_on_until_there_is_one(receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.4, called("look_up", 1)),
        (8.0, started(2)),
        (8.0, facts.FillerSaid("advisor", 2)),
        (8.0, told(2, tts_latency=0.1, total_latency=3.0)),
        (9.0, ended(2)),
        (10.0, answered("look_up", 1)),
        (10.5, started(3)),
        (10.5, told(3, ttt_text_latency=0.4, tts_latency=0.1, total_latency=5.5)),
        (12.0, ended(3)),
    )

    assert found == [
        ("turn", 5.0, 12.0), (LOOK_UP, 5.4, 10.0), ("tts", 7.9, 8.0), (CHAT, 10.0, 10.4), ("tts", 10.4, 10.5)
    ]  # fmt: skip


def test_an_answer_behind_a_filler_is_of_the_callers_turn(receiver: Receiver) -> None:
    filler = (8.0, started(2)), (8.0, facts.FillerSaid("advisor", 2)), (9.0, ended(2))

    found = drawn(receiver, (5.0, HEARD), *filler, (10.0, started(3)), (12.0, ended(3)))

    assert found == [("turn", 5.0, 12.0)]


def test_a_message_that_was_injected_is_spoken_and_neither_heard_nor_thought(receiver: Receiver) -> None:
    report = told(2, tts_latency=0.1, total_latency=2.2)

    assert drawn(receiver, (5.0, started(2)), (5.0, report), (6.0, ended(2))) == [("tts", 4.9, 5.0), ("turn", 5.0, 6.0)]


@pytest.mark.parametrize(("answered_at", "ends"), [(8.0, 8.0), (6.5, 7.0)], ids=["after the reply", "within it"])
def test_a_turn_of_which_no_more_is_said_ends_with_its_last_reply_or_answer(
    answered_at: float, ends: float, receiver: Receiver
) -> None:
    reply, answer = (7.0, ended(2)), (answered_at, answered("look_up", 1))
    last = sorted([reply, answer], key=lambda one: one[0])

    found = drawn(receiver, (5.0, HEARD), (5.5, started(2)), (6.0, called("look_up", 1)), *last, (12.0, HEARD))

    assert [span for span in found if span[0] == "turn"] == [("turn", 5.0, ends), ("turn", 12.0, 30.0)]


def test_a_reply_behind_another_is_of_the_same_turn(receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.5, started(2)),
        (5.5, told(2, ttt_text_latency=0.4, tts_latency=0.1, total_latency=0.5)),
        (6.0, started(3)),
        (6.0, told(3, tts_latency=0.1, total_latency=0.6)),
        (8.0, ended(2)),
        (9.0, ended(3)),
    )

    assert ("turn", 5.0, 9.0) in found
    assert [span for span in found if span[0] == "tts"] == [("tts", 5.4, 5.5), ("tts", 5.9, 6.0)]


def test_what_is_reported_late_of_a_reply_that_was_cut_is_no_part_of_the_next_turn(receiver: Receiver) -> None:
    found = drawn(
        receiver,
        (5.0, HEARD),
        (5.5, started(2)),
        (6.0, facts.BargeIn("advisor", 2, 0.5, 3.0)),
        (6.0, ended(2, complete=False)),
        (7.0, HEARD),
        (7.3, told(2, ttt_text_latency=0.4, tts_latency=0.1)),
        (7.5, started(3)),
        (7.5, told(3, ttt_text_latency=0.35, tts_latency=0.1, total_latency=0.5)),
        (9.0, ended(3)),
    )

    assert found == [
        ("turn", 5.0, 6.0), ("stt", 6.8, 7.0), (CHAT, 7.0, 7.35), ("turn", 7.0, 9.0), ("tts", 7.4, 7.5)
    ]  # fmt: skip


@pytest.mark.real_time
@pytest.mark.parametrize("is_there", [True, False], ids=["slow", "down"])
async def test_a_collector_that_is_slow_or_down_costs_a_call_nothing(
    is_there: bool, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.seconds = 1.0
    monkeypatch.setattr("web.calls.call_trace.CLOSE_SECONDS", 0.1)
    environ = receiver.environ if is_there else {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    async with tracing(settings(**environ)) as traced:
        (follow,) = traced["followers"]
        began = time.monotonic()
        for _ in range(20):
            journal = Journal([follow(CallPlan(CALL_SID, STREAM_SID, "inbound"))])
            journal.note(facts.CallStarted(CALL_SID, STREAM_SID, "inbound"))
            for number in range(10):
                journal.note(facts.FunctionCalled("advisor", f"f{number}", "look_up", "{}", number))
                journal.note(
                    facts.FunctionAnswered("advisor", f"f{number}", "look_up", "", ok=True, took=0, number=number)
                )
            journal.note(facts.CallEnded("completed", 1.0, {}))
        took, began = time.monotonic() - began, time.monotonic()
    closed = time.monotonic() - began

    assert took < 0.9  # 220 spans, with a collector that takes a second for ten
    assert closed < 0.9


@pytest.mark.parametrize(
    ("environ", "wants"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
async def test_traces_are_sent_where_the_standard_variables_say_so(environ: dict[str, str], wants: bool) -> None:
    assert wants_traces(environ) == wants
    if not wants:
        async with tracing(settings(**environ)) as traced:
            assert traced == {}


async def test_a_collector_that_the_sdk_cannot_be_set_up_for_fails_the_start_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "-1")
    chosen = settings(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")

    with pytest.raises(OSError, match="OpenTelemetry does not start: schedule_delay_millis must be positive"):
        async with tracing(chosen):
            pytest.fail("it starts")
