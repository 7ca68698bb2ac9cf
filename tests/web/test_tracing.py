"""A call is a trace at an OTLP receiver: a tree of what happened, without what was said unless that is wanted."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
from web.calls.call_trace import CallTrace
from web.clients.tracing import CAPTURE, Tracing, trace_id_of
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


def test_an_answer_has_its_parts_one_after_the_other(receiver: Receiver) -> None:
    by_name = traced(
        receiver,
        facts.CallStarted(CALL_SID, STREAM_SID, "inbound"),
        facts.SessionConnecting("advisor", 1, "first"),
        facts.SessionReady("advisor", 1, "r1", 0.1),
        facts.FloorTaken("advisor", 1, 0),
        facts.TurnHeard("advisor", "I am John."),
        facts.LatencyReported("advisor", 1, stt_latency=0.2, ttt_text_latency=0.5, tts_latency=0.1),
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


@pytest.mark.real_time
@pytest.mark.parametrize("is_there", [True, False], ids=["slow", "down"])
async def test_a_collector_that_is_slow_or_down_costs_a_call_nothing(
    is_there: bool, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.seconds = 1.0
    monkeypatch.setattr("web.clients.tracing.CLOSE_SECONDS", 0.1)
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
