"""Breaks each of the promises on purpose, and expects a test to notice: `python -m tests.mutants`.

Every mutant is one replacement of one line or two, made in a copy of the tree; the tests named beside it must pass
there before and fail after. Not collected by pytest: a promise whose test cannot fail is found here.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import attrs
from rich.console import Console

ROOT = Path(__file__).parent.parent
COPIED = ("actors", "agents", "demo", "protocol", "simulators", "starter", "store", "testkit", "tests", "web")
FILES = (
    "pytest_switchboard.py",
    "cli.py",
    "cli_calls.py",
    "cli_people.py",
    "cli_campaigns.py",
    "cli_shared.py",
    "cli_testing.py",
    "server.py",
    "keeping_settings.py",
    "model_settings.py",
    "setting_reader.py",
    "setting_values.py",
    "settings.py",
    "pyproject.toml",
    ".env.example",
)

PATIENCE_SECONDS = 1800
"""For the tests of one mutant: the slowest of them take ten minutes on a busy machine."""


@attrs.frozen
class Mutant:
    """One way to break a promise."""

    promise: int
    says: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        1,
        "nothing of a call is left: the Voice Agent socket is not closed",
        "actors/session/agent_session.py",
        "async with self.connect() as socket:",
        "for socket in [await self.connect().__aenter__()]:",
        ("tests/calls/test_sweep.py",),
    ),
    Mutant(
        2,
        "every caller frame reaches an agent: the next one listens from now on only",
        "actors/session/opening.py",
        "self.tape.resume_point(cursor())",
        "self.tape.end",
        ("tests/calls/test_whole_call.py",),
    ),
    Mutant(
        2,
        "every word is heard once: a turn that a handoff has cut off counts as heard",
        "actors/line/tape.py",
        "if self._released is not None and self._has_cut:",
        "if self._released is not None and self._has_cut and not self._has_cut:",
        ("tests/actors/test_tape.py",),
    ),
    Mutant(
        3,
        "no cancelled reply after clear: late audio has a way in",
        "actors/line/ledger.py",
        "is_shut = voice is not self.floor or self.gate is _SHUT",
        "is_shut = False",
        ("tests/actors/test_ledger.py", "tests/calls/test_whole_call.py"),
    ),
    Mutant(
        3,
        "nobody is robbed of words that nothing has cut: a false start forgets what it cut",
        "actors/turn/actions.py",
        "self.emit(effects.Aside.RESUME)",
        "self.emit(effects.Aside.FORGET)",
        ("tests/calls/test_turns.py",),
    ),
    Mutant(
        3,
        "what was cut and comes back is heard once: it begins anew",
        "actors/line/reply.py",
        "return self.audio[self.played(now) :]",
        "return self.audio",
        ("tests/actors/line/test_aside.py",),
    ),
    Mutant(
        3,
        "no word in the wrong voice: the next agent greets without one of its own",
        "actors/handoff.py",
        "await self._change_by(UpdateSpeak(takeover.agent.speak), SpeakUpdated)",
        "await trio.lowlevel.checkpoint()",
        ("tests/calls/test_back.py",),
    ),
    Mutant(
        3,
        "a soft handoff waits for each step: an update is taken for done when it is sent",
        "actors/handoff.py",
        "await session.service.wait_acknowledged(acknowledged)",
        "await trio.lowlevel.checkpoint()",
        ("tests/actors/test_soft_handoff.py",),
    ),
    Mutant(
        3,
        "nothing is heard of a session that is neither the one agent's nor the other's: the old voice keeps the line",
        "actors/handoff.py",
        "self.state.ledger.withhold(session.voice)",
        "pass",
        ("tests/actors/test_soft_handoff.py",),
    ),
    Mutant(
        3,
        "a call comes back as one agent or the other: a session that was half changed goes on",
        "actors/handoff.py",
        "if holder.is_changing:",
        "if holder.is_changing and not holder.is_changing:",
        ("tests/actors/test_soft_handoff.py",),
    ),
    Mutant(
        2,
        "every caller frame reaches an agent: a caller who speaks across t0 is half heard by either",
        "actors/session/agent_session.py",
        "if self._reader is None or self._reader.has_cut or self.service.has_heard:",
        "if self._reader is None:",
        ("tests/actors/test_soft_handoff.py",),
    ),
    Mutant(
        11,
        "the functions are the next agent's alone: the old ones are still carried out",
        "actors/session/agent_session.py",
        "self._runner = attrs.evolve(self._runner, agent=agent)",
        "self._runner = attrs.evolve(self._runner)",
        ("tests/actors/test_soft_handoff.py",),
    ),
    Mutant(
        4,
        "no long silence: a greeting that does not begin is waited for",
        "actors/turn/actions.py",
        "if is_unasked or self.session.is_to_say(SpeechKind.GREETING):",
        "if is_unasked or self.session.is_to_say(SpeechKind.CLOSING):",
        ("tests/actors/test_soft_handoff.py", "tests/actors/turn/test_sequences.py"),
    ),
    Mutant(
        6,
        "an agent that gets the call back goes on with its own conversation: it begins anew",
        "actors/session/opening.py",
        "asks_again=asks_again, earlier=on_call.earlier)",
        "asks_again=asks_again)",
        ("tests/actors/test_settings_form.py",),
    ),
    Mutant(
        4,
        "no long silence: nobody minds it",
        "actors/turn/rules.py",
        "lambda state: state.silent_since + state.deadlines.silence_budget - state.deadlines.filler_lead",
        "lambda state: state.silent_since + state.deadlines.silence_budget * 100",
        ("tests/calls/test_silence.py",),
    ),
    Mutant(
        4,
        "the clock of the turn runs: nobody tells it that time has passed",
        "actors/turn_driver.py",
        "return min(self.turn.deadline(), self._all_played_at(), self._silent_at())",
        "return min(self._all_played_at(), self._silent_at())",
        ("tests/calls/test_silence.py",),
    ),
    Mutant(
        5,
        "a goodbye is heard to its last word: the mark is not waited for",
        "actors/turn_driver.py",
        "return self.ledger.quiet_at + late",
        "return self.ledger.quiet_at",
        ("tests/actors/test_agent_session.py",),
    ),
    Mutant(
        5,
        "nobody is hung up on while speaking: words after the goodbye do not reach the turn",
        "actors/turn/tables.py",
        '+ to(CONVERSING, Actions.reopen, when="the call may go on")',
        "",
        ("tests/calls/test_turns.py",),
    ),
    Mutant(
        5,
        "nothing is heard behind the last sentence: the agent may go on",
        "actors/turn/machine.py",
        "self.end_closing()",
        "pass",
        ("tests/actors/test_closing.py",),
    ),
    Mutant(
        6,
        "every call leaves a record: saving it is not shielded",
        "actors/call.py",
        "with trio.move_on_after(settle, shield=True) as settling:",
        "with trio.move_on_after(settle) as settling:",
        ("tests/calls/test_sweep.py",),
    ),
    Mutant(
        6,
        "every call leaves a record: nobody looks for callers who never came",
        "web/app.py",
        "        partial(settle_unheard, context),\n",
        "",
        ("tests/faults/test_ringing.py",),
    ),
    Mutant(
        7,
        "an unknown message never ends a call: its type is a key that must exist",
        "protocol/deepgram/codec.py",
        "read = _READERS.get(name)",
        "read = _READERS[name]",
        ("tests/protocol/test_deepgram_codec.py",),
    ),
    Mutant(
        7,
        "what is only noted is not validated: an odd description ends the session",
        "protocol/deepgram/codec.py",
        "return fields.words_or_nothing(message, key)[:LONGEST_REMARK]",
        'return fields.text_or(message, key, "")[:LONGEST_REMARK]',
        ("tests/protocol/test_deepgram_codec.py",),
    ),
    Mutant(
        11,
        "what two calls of one request ask for is done once: each of them does it",
        "actors/session/function_calls.py",
        "self.number < other.number if acts else",
        "self.request < other.request if acts else",
        ("tests/actors/test_function_runner.py",),
    ),
    Mutant(
        11,
        "each function call is done once for each time it was asked for: one that shares its id is taken for the same",
        "actors/session/function_runner.py",
        "call not in running]",
        "call.id not in {one.id for one in running}]",
        ("tests/actors/test_function_runner.py",),
    ),
    Mutant(
        8,
        "a peer that stops reading cannot hold a call: sending has no deadline",
        "actors/session/wire.py",
        "with trio.move_on_after(self.send_stall) as patience:",
        "with trio.CancelScope() as patience:",
        ("tests/actors/test_agent_wire.py",),
    ),
    Mutant(
        9,
        "a slot cannot leak: it is given back only by a call that ends well",
        "web/calls/slots.py",
        "        try:\n            yield True\n        finally:\n",
        "        if True:\n            yield True\n",
        ("tests/web/test_slots.py",),
    ),
    Mutant(
        10,
        "no key in the journal: the caller's secret is noted",
        "actors/line/line_watch.py",
        'DigitPressed(key if self.policy.keep_digits else "")',
        "DigitPressed(key)",
        ("tests/actors/test_keypad.py",),
    ),
    Mutant(
        10,
        "no phone number in the log: nothing is masked",
        "store/masking.py",
        "while (found := _NUMBERS.search(text, start)) is not None:",
        "while (found := None) is not None:",
        ("tests/store/test_masking.py",),
    ),
    Mutant(
        10,
        "no phone number in the log: one without a plus is none",
        "store/masking.py",
        "| {_LEFT}[0-9]{{9,17}}{_RIGHT}",
        "",
        ("tests/store/test_masking.py",),
    ),
    Mutant(
        10,
        "files of a call are their owner's to read: they have the permissions that the umask leaves",
        "store/private.py",
        "descriptor = os.open(name, flags, FILE)",
        "return os.open(name, flags, 0o666)",
        ("tests/store/test_private.py",),
    ),
    Mutant(
        6,
        "every call leaves a record, whatever a handler returned: nobody looks at it",
        "actors/session/function_calls.py",
        "return checked(returned)",
        "return returned  # type: ignore[return-value]",
        ("tests/calls/test_handlers.py",),
    ),
    Mutant(
        6,
        "every call leaves a record, whatever a handler raised: what it says must be a text",
        "actors/session/function_calls.py",
        "told = await guard(partial(self._own_words, crashed.error))",
        "told = await self._own_words(crashed.error)",
        ("tests/actors/test_function_results.py",),
    ),
    Mutant(
        6,
        "every call leaves a record: what JSON has no form for costs it",
        "store/json_text.py",
        "text = orjson.dumps(_Mender().mended(value, _DEEPEST), option=option)",
        "raise",
        ("tests/store/test_contract.py",),
    ),
    Mutant(
        8,
        "a handler that does not listen cannot hold a call: it is waited for",
        "actors/session/function_calls.py",
        "with trio.move_on_after(ABANDON_SECONDS, shield=True):",
        "with trio.CancelScope(shield=True):",
        ("tests/actors/test_function_results.py",),
    ),
    Mutant(
        8,
        "a resolver that never answers cannot hold a call: every call asks for itself",
        "web/clients/resolver.py",
        "lookup = self._under_way.get(question) or self._begin(question)",
        "lookup = self._begin(question)",
        ("tests/web/test_resolver.py",),
    ),
    Mutant(
        11,
        "a function's effect happens once: a session that is lost while it is at work is forgotten",
        "actors/record/conversation.py",
        "return self._at_work.get(call, (session,))[0] != session or ",
        "return ",
        ("tests/calls/test_handlers.py",),
    ),
    Mutant(
        11,
        "a function's effect happens once: what a stream is lost with is forgotten by the next one",
        "actors/record/resumption.py",
        "        if not self.unreached:\n            self._recall_work(conversation)\n",
        "",
        ("tests/calls/test_reconnect.py",),
    ),
    Mutant(
        11,
        "an order is carried out once, however often it is repeated: its key is not known again",
        "web/calls/dispatch.py",
        "if known is not None and not _is_refused(known):",
        "if known is not None and known.is_late:",
        ("tests/web/test_repeats.py",),
    ),
    Mutant(
        11,
        "an order is placed once: nobody looks in Twilio's list for what a dead process may have asked for",
        "web/calls/unfinished.py",
        "call, found = self.dispatcher.shown(order), await self._listed(order)",
        "call, found = self.dispatcher.shown(order), tuple[str, ...]()",
        ("tests/orders/test_killed.py", "tests/web/test_dispatch.py"),
    ),
    Mutant(
        11,
        "an order is placed once: it is not noted before Twilio is asked",
        "store/orders/queue.py",
        "SET state = 'asking', asked = {{now}}, due = {{now}} + :settle, looks = 0",
        "SET asked = {{now}}, due = {{now}} + :settle, looks = 0",
        ("tests/orders/test_killed.py", "tests/store/test_orders_contract.py"),
    ),
    Mutant(
        11,
        "an order has one call: another one of its is let in",
        "web/routes/twilio.py",
        "return kept is None or kept.call_sid == call_sid",
        "return True",
        ("tests/web/test_routes_twilio.py",),
    ),
    Mutant(
        11,
        "a number is called once at a time: nobody looks whether it rings",
        "web/calls/dispatch.py",
        "if (ringing := await self.ringing_to(order.to)) is not None or order.to in self._ordered:",
        "if (ringing := None) is not None:",
        ("tests/web/test_repeats.py",),
    ),
    Mutant(
        11,
        "an operator's command is carried out once: one that was decided is taken for new",
        "actors/commands.py",
        "if (decided := self._decided.get(command.id)) is not None:",
        "if (decided := None) is not None:",
        ("tests/actors/test_commands.py",),
    ),
    Mutant(
        11,
        "every command of an operator's is answered: the end of the call leaves some undecided",
        "actors/call.py",
        "        state.commands.close()\n",
        "",
        ("tests/calls/test_operator_sweep.py",),
    ),
    Mutant(
        11,
        "an operator's handoff is answered: where both sessions are lost, nobody says so",
        "actors/supervisor.py",
        "asked.refuse(wording.session_lost)",
        "pass",
        ("tests/calls/test_operator.py",),
    ),
    Mutant(
        11,
        "an operator's handoff is answered: a request for a session that is lost already is dropped",
        "actors/messages.py",
        "message.refuse(why_not)",
        "pass",
        ("tests/actors/test_handoff.py",),
    ),
    Mutant(
        11,
        "a transfer of an operator's is answered when it is done: the end of the call says that it came first",
        "actors/call.py",
        "state.commands.decide(ordered.command_id, DONE)",
        "pass",
        ("tests/calls/test_operator.py",),
    ),
    Mutant(
        4,
        "nobody is asked or filled while an operator has the caller: the turn does not know of it",
        "actors/operator.py",
        "        self._driver.put(Signal.TAKEN_OVER)\n",
        "",
        ("tests/calls/test_on_the_phone.py",),
    ),
    Mutant(
        11,
        "a call that was taken over comes back: nobody remembers that it does",
        "web/calls/returning.py",
        "await self.texts.put(call_sid, CallText.TAKE_OVER)",
        "pass",
        ("tests/calls/test_take_over.py",),
    ),
    Mutant(
        4,
        "a caller comes back from a person though the database is away: the webhook fails",
        "store/tokens.py",
        "return own or None",
        "raise",
        ("tests/web/test_texts_away.py",),
    ),
    Mutant(
        6,
        "an agent that has its caller back knows what was whispered before: it is forgotten",
        "actors/call.py",
        "state.amendments.recall(earlier.record, is_given_back=earlier.is_given_back)",
        "pass",
        ("tests/calls/test_take_over.py",),
    ),
    Mutant(
        6,
        "a call keeps its record: one that comes back begins anew",
        "web/routes/twilio.py",
        "if is_streamed:",
        "if not call_sid:",
        ("tests/web/test_media.py",),
    ),
    Mutant(
        12,
        "nobody ends a call without a credential: no route asks for the token",
        "web/routes/credentials.py",
        "if request.url_rule is None or request.blueprint in SIGNED | SIGNED_IN or request.endpoint in OPEN:",
        "if request.url_rule is None or request.blueprint:",
        ("tests/web/test_credentials.py",),
    ),
    Mutant(
        12,
        "nobody gets in without the token: any bearer does",
        "web/routes/credentials.py",
        "return expected is None or is_token(bearer_of(authorization), expected)",
        'return expected is None or bearer_of(authorization) != ""',
        ("tests/web/test_credentials.py",),
    ),
    Mutant(
        12,
        "wherever the server is reachable from: bound to this machine, it needs no token behind a proxy",
        "settings.py",
        'all(map(is_loopback, (public, theirs, self.lead_server_host or "")))',
        'is_loopback(self.lead_server_host or "")',
        ("tests/test_settings.py",),
    ),
    Mutant(
        8,
        "a connection is closed when nothing comes on it: no deadline after an answer",
        "web/sockets/pull_server.py",
        "            if not self._applications:\n                self._reader.deadline = self._closing_time()\n",
        "",
        ("tests/e2e/test_stalled_peers.py",),
    ),
    Mutant(
        8,
        "every body has its ten seconds: of what is no form",
        "web/routes/problems.py",
        "await request.get_data(cache=True, as_text=False, parse_form_data=False)",
        "await request.body",
        ("tests/e2e/test_stalled_peers.py",),
    ),
    Mutant(
        8,
        "calls have their descriptors: connections that wait do not leave for new ones",
        "web/sockets/connections.py",
        "        leaves.leave()\n",
        "",
        ("tests/web/test_connections.py",),
    ),
    Mutant(
        8,
        "a watcher that takes nothing is dropped: the worker of the call holds its stream for ever",
        "web/routes/watch_elsewhere.py",
        "if sent.asked_at + STALL_SECONDS <= trio.current_time():",
        "if sent.asked_at < 0:",
        ("tests/web/console/test_watching_elsewhere.py",),
    ),
    Mutant(
        13,
        "a blocked event loop is reported: nobody looks",
        "web/worker/watchdog.py",
        "if took >= SUSPECT_SECONDS and self._is_due(since, took):",
        "if took < 0:",
        ("tests/web/test_watchdog.py",),
    ),
    Mutant(
        14,
        "what is kept is gone after RETENTION_DAYS: records stay",
        "web/worker/retention.py",
        "await self.records.erase(summary.call_sid)",
        "await self.records.get(summary.call_sid)",
        ("tests/web/test_retention.py",),
    ),
    Mutant(
        14,
        "what is left out is written nowhere: a number that goes on in the next turn is a new one",
        "store/redaction.py",
        "self._begun[speaker] = whole",
        'self._begun[speaker] = ""',
        ("tests/store/test_redaction.py",),
    ),
    Mutant(
        14,
        "what is left out is written nowhere: an agent may repeat a part of it",
        "store/redaction.py",
        "self.rule = attrs.evolve(self.rule, parts=frozenset({*others, whole}))",
        "assert others is not None",
        ("tests/calls/test_redacted.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: another worker keeps what is on its own disk",
        "web/calls/forgetting.py",
        "return sum((await self._erase_own(Subject(number, frozenset(calls)))).values())",
        "return 0",
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: PostgreSQL has samples of it",
        "store/fleet/pages.py",
        "SET STATISTICS 0;",
        "SET STATISTICS -1;",
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: a whole VACUUM is a plain one",
        "store/fleet/pages.py",
        'f"VACUUM FULL {table}"',
        'f"VACUUM {table}"',
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: rows that somebody can still see are said to be gone",
        "store/fleet/pages.py",
        "age(relfrozenxid) > age(%s::xid)",
        "age(relfrozenxid) > age(%s::xid) AND false",
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: files of the write-ahead log wait to be used again",
        "store/fleet/pages.py",
        "[ready + 1]",
        "[0]",
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: deleted rows stay in the free pages of the database",
        "store/databases.py",
        'connection.execute("VACUUM")',
        'connection.execute("SELECT 1")',
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: it stays in the write-ahead log",
        "store/databases.py",
        'execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()',
        'execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()',
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: what a dead process has left comes to light too late",
        "web/calls/forgetting.py",
        "subject = attrs.evolve(subject, calls=subject.calls | found.calls)",
        "assert found",
        ("tests/store/test_forgetting.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: a recording in the object store stays",
        "web/calls/call_files.py",
        "await self.in_store(partial(self.objects.erase, call_sid))",
        "pass",
        ("tests/web/test_stored_recordings.py",),
    ),
    Mutant(
        14,
        "what is forgotten is gone: an upload that is being finished is not waited for",
        "web/calls/call_files.py",
        "with alone_in(folder):  # no upload of it is being finished then",
        "if folder:",
        ("tests/web/test_uploads.py",),
    ),
    Mutant(
        6,
        "a call keeps its recording: it goes though the object store has something else",
        "store/objects.py",
        "if back.digest() != sent.digest():",
        "if not back:",
        ("tests/store/test_objects.py",),
    ),
    Mutant(
        6,
        "a call keeps its recording: the second stream's takes the place of the first one's",
        "web/calls/uploads.py",
        "return is_ours and _add_what_is_there(objects, folder) and _move(objects, folder)",
        "return is_ours and _move(objects, folder)",
        ("tests/web/test_uploads.py",),
    ),
)


def copy_tree(folder: Path) -> None:
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)


def tests_pass(folder: Path, tests: Iterable[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-m", "", "-p", "no:cacheprovider", *tests]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)  # noqa: S603
    if ran.returncode not in {0, 1}:
        raise SystemExit(f"{' '.join(command)} could not run:\n{ran.stdout}{ran.stderr}")
    return ran.returncode == 0


def mutate(folder: Path, mutant: Mutant) -> None:
    path = folder / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file}: {mutant.old!r} stands there {text.count(mutant.old)} times, not once")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def is_caught(mutant: Mutant) -> bool:
    """Say whether the tests pass as they are, and fail once the promise is broken."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_tree(folder)
        if not tests_pass(folder, mutant.tests):
            raise SystemExit(f"{', '.join(mutant.tests)} fail without a mutant")
        mutate(folder, mutant)
        return not tests_pass(folder, mutant.tests)


def main() -> int:
    """Try every mutant; return the exit status."""
    console, caught = Console(), 0
    for mutant in MUTANTS:
        found = is_caught(mutant)
        caught += found
        verdict = "[green]caught[/]" if found else "[bold red]NOT CAUGHT[/]"
        console.print(f"promise {mutant.promise:2}  {verdict}  {mutant.says}")
    console.print(f"{caught} of {len(MUTANTS)}")
    return 0 if caught == len(MUTANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
