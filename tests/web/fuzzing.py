"""Nonsense for both doors: HTTP requests, and frames on the media stream, seeded with what is really sent.

    python -m tests.web.fuzzing http --seconds 60
    python -m tests.web.fuzzing frames --seconds 60

The application is the real one, in this process, and so is every call; the telephone network and the voice agent
service behind it are scripts. A run is a seed: the same one sends the same. Whatever is sent, no answer may be a 5xx
but the 503 of a server that is full, no exception may get out, nothing may be logged as an error of ours, and no task
and no line may be left.
"""

import argparse
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import attrs
import orjson
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from actors.call import run_call
from actors.call_services import CallPlan, CallServices
from actors.policy import CallPolicy, Deadlines
from protocol.wire import PacedWebSocket
from store.records import CallRecord
from tests.calls.tiny import ROSTER, TinyService, tiny_brief
from tests.web.fakes import API_TOKEN, AUTH_TOKEN, CALL_SID, LEAD, LINE, ORIGIN, FakeCalls, Peer, exchange, voice_form

VECTORS = Path(__file__).parents[1] / "vectors" / "twilio.jsonl"
FRAMES = [orjson.loads(line) for line in VECTORS.read_text().splitlines()]
PATHS = [
    "/twilio/voice", "/twilio/status", "/twilio/amd", "/twilio/stream", "/twilio/after", "/twilio/dialled",
    "/twilio/whisper", "/calls", f"/calls/{CALL_SID}", "/healthz", "/readyz", "/metrics", "/", "/%00", "/calls/%ff",
]  # fmt: skip
FIELDS = [
    *voice_form(), "CallDuration", "SequenceNumber", "AnsweredBy", "MachineDetectionDuration", "StreamEvent",
    "StreamError", "ErrorCode", "DialCallStatus", "DialCallDuration", "DialBridged", "Digits", "SipResponseCode",
]  # fmt: skip
VALUES = [
    "", "0", "-1", "1e9", "ringing", "in-progress", "completed", "busy", "machine_start", "human", "no-answer", LEAD,
    LINE, CALL_SID, "CA" + "z" * 32, "\x00", "ü☎\u202e", "'\"<>&;--", "{}", "x" * 5000, "../../etc/passwd",
]  # fmt: skip
ORDER_FIELDS = ["to", "context", "machine_detection", "time_limit", "record", "agents", "metadata", "surprise"]
JSON_VALUES: list[object] = [
    None, True, False, 0, -1, 10**30, 1.5, "", LEAD, "off", "voicemail", [], {}, {"name": "John"}, [[[]]], "ü\x00",
]  # fmt: skip


@attrs.define
class Tally:
    """What was sent, what came of it, and what must not be."""

    sent: int = 0
    answers: Counter[str] = attrs.field(factory=Counter)
    failures: list[str] = attrs.field(factory=list)

    def fail(self, what: str) -> None:
        self.failures.append(what)

    def read_log(self, lines: list[dict[str, object]]) -> None:
        """Take what was logged: an error of ours is a failure."""
        for line in lines:
            if line["log_level"] in {"error", "critical"}:
                self.fail(f"logged: {line}")


def _target(rng: Random) -> str:
    target = rng.choice(PATHS)
    query = rng.choice(
        [
            "",
            "",
            "?order=abc",
            "?limit=0",
            "?limit=99",
            "?order=%00&order=2",
            "?bodySHA256=x",
            "?goodbye=yes",
            "?goodbye=%00",
        ]
    )
    return target + query


def _form(rng: Random) -> dict[str, str | list[str]]:
    form: dict[str, str | list[str]] = dict(voice_form()) if rng.random() < 0.7 else {}
    for _ in range(rng.randrange(5)):
        value = rng.choice(VALUES)
        form[rng.choice(FIELDS)] = [value, rng.choice(VALUES)] if rng.random() < 0.1 else value
    for name in rng.sample(sorted(form), min(len(form), rng.randrange(3))):
        del form[name]
    return form


def _order(rng: Random) -> bytes:
    order = {name: rng.choice(JSON_VALUES) for name in rng.sample(ORDER_FIELDS, rng.randrange(len(ORDER_FIELDS)))}
    body = (
        orjson.dumps(order, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)
        if 10**30 not in order.values()
        else b"9"
    )
    return _mangle(body, rng) if rng.random() < 0.3 else body


def _mangle(content: bytes, rng: Random) -> bytes:
    """Cut, double, swap or replace some bytes."""
    some = bytearray(content)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(some) + 1)
        match rng.randrange(4):
            case 0:
                del some[at : at + rng.randrange(8)]
            case 1:
                some[at:at] = some[at : at + rng.randrange(20)]
            case 2:
                some[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(4)))
            case _:
                some[at : at + 1] = rng.choice([b'"', b"{", b"}", b"[", b"\\", b"\xff", b"0", b","])
    return bytes(some)


async def fuzz_http(rng: Random, enough: Callable[[], bool]) -> Tally:
    """Send requests to a fresh application until there are enough."""
    tally, there = Tally(), exchange(MAX_CALLS="1000")
    before = trio.lowlevel.current_statistics().tasks_living
    async with there.client() as client:
        while not enough():
            tally.sent += 1
            target, method = _target(rng), rng.choice(["POST", "POST", "POST", "GET", "DELETE", "PUT", "OPTIONS"])
            headers = {"Authorization": f"Bearer {API_TOKEN if rng.random() < 0.8 else 'x'}"}
            is_order = target.startswith("/calls")
            form = {} if is_order else _form(rng)
            if rng.random() < 0.9:
                signed = RequestValidator(AUTH_TOKEN).compute_signature(ORIGIN + target, MultiDict(form))
                headers["X-Twilio-Signature"] = signed
            sent = {"content": _order(rng)} if is_order else {"data": form}
            with capture_logs() as lines:
                try:
                    answer = await client.request(method, target, headers=headers, **sent)
                except Exception as exc:  # noqa: BLE001 - whatever gets out is the finding
                    tally.fail(f"{method} {target}: {exc!r}")
                    continue
            tally.answers[str(answer.status_code)] += 1
            if answer.status_code >= 500 and answer.status_code != 503:
                tally.fail(f"{method} {target} {sent}: {answer.status_code}")
            tally.read_log([dict(line) for line in lines])
    if (left := trio.lowlevel.current_statistics().tasks_living - before) > 0:
        tally.fail(f"{left} tasks left")
    return tally


def frames(rng: Random, count: int) -> list[str | bytes]:
    """Return frames for the stream: captured ones, and what becomes of them."""
    found: list[str | bytes] = []
    for _ in range(count):
        message = rng.choice(FRAMES)["message"]
        content = orjson.dumps(message)
        if rng.random() < 0.5:
            content = _mangle(content, rng)
        found.append(content if rng.random() < 0.1 else content.decode("utf-8", "replace"))
    return found


class RealCalls(FakeCalls):
    """Gives streams to the real `run_call`, with scripts behind it."""

    async def __call__(self, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        self.plans.append(plan)
        brisk = CallPolicy(deadlines=Deadlines(goodbye_onset=0.05, hang_up=0.5, silence_budget=2.0))
        connect = TinyService().connect
        real = attrs.evolve(services, roster=ROSTER, connect=connect, ask_brief=tiny_brief, policy=brisk, rng=Random(0))
        return await run_call(media, plan, real)


async def fuzz_frames(rng: Random, enough: Callable[[], bool]) -> Tally:
    """Open streams on a fresh application, and say nonsense on each, until there was enough."""
    tally, there = Tally(), exchange(calls=RealCalls(), MAX_CALLS="1000")
    before = trio.lowlevel.current_statistics().tasks_living
    while not enough():
        call_sid = f"CA{rng.getrandbits(128):032x}"
        answer = await there.twilio("/twilio/voice", voice_form(call_sid))
        token = answer.text.partition('name="token" value="')[2].partition('"')[0]
        peer = Peer()
        if rng.random() < 0.9:
            peer.starts(token if rng.random() < 0.9 else "x" * rng.randrange(50), call_sid=call_sid)
        said = frames(rng, rng.randrange(1, 60))
        peer.says(*said)
        peer.leaves(rng.choice([1000, 1001, 1005, 1006]))
        tally.sent += len(said)
        with capture_logs() as lines:
            try:
                await peer.visit(there.app)
            except Exception as exc:  # noqa: BLE001 - whatever gets out is the finding
                tally.fail(f"{said!r}: {exc!r}")
        tally.read_log([dict(line) for line in lines])
        tally.answers["calls" if peer.said[:1] == ["accept"] else "refused"] += 1
        if (left := trio.lowlevel.current_statistics().tasks_living - before) > 0:
            tally.fail(f"{left} tasks left after {said!r}")
    if await there.records.list(limit=1) == []:
        tally.fail("no call has left a record")
    if there.slots.taken:
        tally.fail(f"{there.slots.taken} lines are still taken")
    return tally


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Run for so long, in rounds of five seconds, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("door", choices=["http", "frames"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fuzz = fuzz_http if options.door == "http" else fuzz_frames
    answers, failures, sent, began = Counter[str](), list[str](), 0, time.monotonic()
    while time.monotonic() - began < options.seconds:
        ends = time.monotonic() + 5.0
        tally = trio.run(
            fuzz, Random(options.seed + sent), partial(_is_past, ends), clock=MockClock(autojump_threshold=0)
        )
        answers, sent, failures = answers + tally.answers, sent + tally.sent, failures + tally.failures
        told = f"{sent} sent, {dict(answers)}, {_resident_mb():.0f} MB, {len(failures)} failures"
        sys.stdout.write(f"{time.monotonic() - began:5.0f} s  {told}\n")
    sys.stdout.writelines(f"{failure}\n" for failure in failures[:20])
    raise SystemExit(1 if failures else 0)


def _is_past(moment: float) -> bool:
    return time.monotonic() > moment


if __name__ == "__main__":
    main()
