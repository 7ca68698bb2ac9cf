"""A whole phone call on this machine, with nothing but this program: no account, no key, no network.

`main` is the demo from its options to its exit status; `run_demo` is the same inside trio. One call is placed through
the real server's own route, shown while it goes on, and judged against its scenario; what the server kept of it is
moved to the folder asked for, with a picture. Everything lives in one trio run, whose clock may run fast
(`simulators/pacing.py`), and Ctrl-C cancels all of it.
"""

import logging
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import trio
from rich.console import Console
from rich.text import Text

from actors.journal import Entry
from actors.supervision import root_cause
from agents.roster import RosterError
from demo.live import LiveView
from demo.options import DemoOptions, OptionsError, Rehearsal, read_options
from demo.stage import Stage, open_stage, warm_up
from demo.telling import person_acted, whispered
from demo.verdict import shortcomings, unanswered
from setting_reader import SettingsError
from simulators.command import until_stopped
from simulators.espeak import NOTICE, ONLY_HUMS
from simulators.pacing import PacedClock
from simulators.scenario import Scenario
from simulators.speech import SpeechError
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.log import LogEntry, PersonActed, VerbExecuted
from store.records import UNANSWERED, CallRecord, encode_record, record_as_json, record_from_json
from web.picture.timeline import render_timeline
from web.showing import lines
from web.worker.logs import configure_logs

KEPT = ("call.wav", "transcript.json", "journal.jsonl", "record.json")
PICTURE = "timeline.svg"
TICK_SECONDS = 1.0
LONGEST_CALL_SECONDS = 3600.0
RECORD_SECONDS = 10.0
SUCCEEDED, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


class CallNotCarriedError(Exception):
    """The call could not be carried to its end; the message says why."""


@attrs.frozen
class EndedCall:
    """A call that is over: its status at Twilio, and the record that the server has of it."""

    sid: str
    status: str
    record: CallRecord | None


def main(options: DemoOptions, console: Console | None = None) -> int:
    """Run the demo and return its exit status: 0 when the call went as its scenario says."""
    errors, console = console or Console(stderr=True), console or Console()
    configure_logs(level=logging.ERROR)
    status, problem = FAILED, ""
    try:
        rehearsal = read_options(options)
        status = trio.run(partial(_until_interrupted, rehearsal, console), clock=PacedClock(rehearsal.speed))
    except* OptionsError as group:
        status, problem = MISUSED, f"switchboard demo: {root_cause(group)}"
    except* (RosterError, SettingsError, SpeechError, OSError) as group:
        problem = f"The demo cannot be played: {root_cause(group)}"
    except* KeyboardInterrupt:
        status = _interrupted(console)
    if problem:
        _tell(errors, problem, "red")
    return status


async def run_demo(options: DemoOptions, console: Console | None = None) -> int:
    """Run the demo on the clock of this trio run.

    *Raises* `OptionsError` before anything is started.
    """
    return await _until_interrupted(read_options(options), console or Console())


async def _until_interrupted(rehearsal: Rehearsal, console: Console) -> int:
    status = FAILED

    async def perform() -> None:
        nonlocal status
        status = await _perform(rehearsal, console)

    return _interrupted(console) if await until_stopped(perform) else status


async def _perform(rehearsal: Rehearsal, console: Console) -> int:
    scenario, out = rehearsal.scenario, rehearsal.out
    _announce(rehearsal, console)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        _tell(console, f"The demo failed: it cannot write to {out}: {exc.strerror}", "red")
        return FAILED
    await warm_up(scenario, rehearsal.roster)
    with tempfile.TemporaryDirectory(prefix=".recording-", dir=out) as recordings:
        audience = Audience(console)
        try:
            call = await _play(rehearsal, Path(recordings), audience)
        except CallNotCarriedError as exc:
            _tell(console, f"The demo failed: {exc}", "red")
            return FAILED
        files = keep(Path(recordings) / call.sid, out, audience.entries, title=f"Switchboard demo: {scenario.name}")
        kept = out / "record.json"
        if call.record is not None and kept in files:  # a transfer may have gone on behind the last stream
            kept.write_bytes(encode_record(call.record))
    return _judge(scenario, call, files, console)


async def _play(rehearsal: Rehearsal, recordings: Path, audience: "Audience") -> EndedCall:
    demo = rehearsal.roster.extras.demo
    with audience.view:
        async with open_stage(
            rehearsal.scenario,
            recordings,
            audience.observe,
            overhear=audience.overhear,
            changes=rehearsal.changes,
            answers=demo.http if demo is not None else None,
        ) as stage:
            call = await _place_call(stage, rehearsal.scenario)
            audience.watch(call)
            with trio.move_on_after(LONGEST_CALL_SECONDS) as patience:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(audience.keep_time)
                    await call.wait_over()
                    nursery.cancel_scope.cancel(reason="the call is over")
            if patience.cancelled_caught:
                raise CallNotCarriedError(f"the call was not over after {LONGEST_CALL_SECONDS:.0f} s")
            return EndedCall(call.sid, call.status.value, await _record_of(stage, call.sid))


async def _record_of(stage: Stage, call_sid: str) -> CallRecord | None:
    """Return the record of a call that is over, as soon as the server has it; None where it has none."""
    with trio.move_on_after(RECORD_SECONDS):
        while True:
            shown = (await stage.operator.get(f"/calls/{call_sid}")).json()
            if shown.get("record") is not None:
                return record_from_json(shown["record"])
            await trio.sleep(TICK_SECONDS / 10)
    return None


async def _place_call(stage: Stage, scenario: Scenario) -> SimulatedCall:
    answer = await stage.operator.post("/calls", json={"to": scenario.caller.number})
    if not answer.is_success:
        raise CallNotCarriedError(f"the server did not place the call: HTTP {answer.status_code} {answer.text}")
    return stage.twilio.calls[answer.json()["call_sid"]]


@attrs.define
class Audience:
    """Who watches the call: keeps its journal, and shows it."""

    console: Console
    entries: list[Entry] = attrs.field(factory=list, init=False)
    view: LiveView = attrs.field(init=False)
    _call: SimulatedCall | None = attrs.field(default=None, init=False)
    _frames: int | None = attrs.field(default=None, init=False)
    _began: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.view = LiveView(self.console, self.frames)

    def watch(self, call: SimulatedCall) -> None:
        self._call = call

    def observe(self, entry: Entry) -> None:
        self._began = trio.current_time() - entry.at
        self.entries.append(entry)
        self.view.show(entry)

    def overhear(self, _sid: str, entry: LogEntry) -> None:
        """See what the telephone network does, where the call's own journal ends: with a person."""
        at = entry.at - (self._began if self._began is not None else entry.at)
        match entry:
            case PersonActed(did=did):
                self.view.tell(person_acted(did), at)
            case VerbExecuted(verb="Whisper", detail=words):
                self.view.tell(whispered(words), at)
            case _:
                pass  # the journal has the rest

    def frames(self) -> int | None:
        media = self._call.performance.media if self._call is not None else None
        if media is not None:
            self._frames = media.sent_frames
        return self._frames

    async def keep_time(self) -> None:
        """Move the clock on between facts, until cancelled."""
        while True:
            await trio.sleep(TICK_SECONDS)
            if self._began is not None:
                self.view.tick(trio.current_time() - self._began)


def keep(recording: Path, out: Path, entries: Sequence[Entry], *, title: str) -> tuple[Path, ...]:
    """Move what the server kept of the call to `out`, draw its picture, and name the files."""
    files = []
    for name in KEPT:
        target = out / name
        target.unlink(missing_ok=True)
        if (recording / name).is_file():
            files.append((recording / name).replace(target))
    picture = out / PICTURE
    picture.write_text(render_timeline(entries, title=title), encoding="utf-8")
    return (*files, picture)


def _judge(scenario: Scenario, call: EndedCall, files: tuple[Path, ...], console: Console) -> int:
    record = call.record
    if record is not None:
        told = {"record": record_as_json(attrs.evolve(record, transcript=()))}  # its words have been shown
        for line in ("", *lines(told), "", *(f"  {path}" for path in files)):
            _tell(console, line)
    if record is None or record.outcome in UNANSWERED:
        problems = unanswered(scenario, call.status)
    else:
        problems = shortcomings(scenario, record)
    for problem in problems:
        _tell(console, f"✗ {problem}", "red")
    if problems:
        _tell(console, "The call did not go as its scenario says.", "bold red")
        return FAILED
    spite = " in spite of its faults" if scenario.faults else ""
    _tell(console, f"The call went as its scenario says{spite}.", "bold green")
    return SUCCEEDED


def _announce(rehearsal: Rehearsal, console: Console) -> None:
    scenario = rehearsal.scenario
    _tell(console, f"{scenario.name}: {scenario.description}", "bold")
    pace = "in real time" if rehearsal.speed == 1 else f"at up to {rehearsal.speed:g} times real time"
    _tell(console, f"A call on this machine's loopback, {pace}.", "dim")
    if ONLY_HUMS:
        _tell(console, f"{NOTICE}.", "yellow")
    if rehearsal.speed > 1:
        _tell(console, "Times are the caller's: this machine's own work counts once.", "dim")
    for fault in scenario.faults:
        _tell(console, f"fault: {fault.line}", "yellow")


def _interrupted(console: Console) -> int:
    _tell(console, "Interrupted; nothing is left running.", "yellow")
    return INTERRUPTED


def _tell(console: Console, words: str, style: str = "") -> None:
    console.print(Text(words, style), soft_wrap=True)
