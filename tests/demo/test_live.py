"""The live view: every fact one line in a log, a transcript above a status line on a terminal."""

import io
import re
from collections.abc import Mapping

import pytest
from rich.console import Console

from demo.live import LiveView
from demo.telling import person_acted, told, whispered
from tests.demo.sample import read, sample_journal


class AsciiOutput(io.StringIO):
    """A log that knows no letter beyond ASCII."""

    encoding = "ascii"

    def write(self, words: str) -> int:
        return super().write(words.encode("ascii").decode())


def log_console(output: io.StringIO | None = None) -> Console:
    return Console(file=output or io.StringIO(), width=80)


def terminal() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=True, legacy_windows=False, _environ={})


def output_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(console: Console, *entries: Mapping[str, object]) -> str:
    with LiveView(console) as view:
        for entry in read(entries):
            view.show(entry)
    return output_of(console)


def fact(event: str, at: float = 1.0, **fields: object) -> dict[str, object]:
    return {"seq": 0, "at": at, "event": event, **fields}


PLAIN = [
    (fact("call_started", direction="outbound"), "line         ☏ the line is open (outbound call)"),
    (fact("session_connecting", agent="closer", incarnation=1, why="first"), "closer       … connecting"),
    (
        fact("session_connecting", agent="closer", incarnation=2, why="restart"),
        "closer       … connecting again, session 2",
    ),
    (fact("session_ready", agent="closer", took=0.17), "closer       … ready in 170 ms"),
    (fact("session_failed", agent="closer", error="HTTP 503"), "closer       ✗ could not be made ready: HTTP 503"),
    (fact("floor_taken", agent="closer"), "closer       ● has the floor"),
    (fact("turn_heard", agent="closer", text="Five."), "caller       Five."),
    (fact("reply_text", agent="closer", text="Thank you."), "closer       Thank you."),
    (
        fact("reply_ended", agent="closer", heard="one two three four five six", complete=False),
        "closer       ✂ was heard up to “…two three four five six”",
    ),
    (fact("reply_ended", agent="closer", heard="", complete=False), "closer       ✂ was not heard at all"),
    (
        fact("barge_in", agent="closer", heard_seconds=1.24, dropped_seconds=2.0),
        "caller       ⚡ interrupts closer: 1.2 s heard, 2.0 s dropped",
    ),
    (
        fact("function_called", agent="closer", name="record_satisfaction", arguments='{"rating":5}'),
        "closer       ƒ record_satisfaction(rating=5)",
    ),
    (fact("function_called", agent="closer", name="f", arguments="{broken"), 'closer       ƒ f("{broken")'),
    (
        fact("function_answered", agent="closer", name="f", result="{}", ok=True, took=0.002),
        "closer       ✓ f: {}, 2 ms",
    ),
    (
        fact("function_answered", agent="closer", name="f", result="no", ok=False, took=0.002),
        "closer       ✗ f: no, 2 ms",
    ),
    (fact("function_withdrawn", agent="closer", name="f"), "closer       ✗ f was withdrawn by the service"),
    (fact("transfer_asked", agent="closer", reason="cross"), "closer       ⇄ puts the caller through: cross"),
    (fact("transfer_failed", agent="closer", why="away"), "closer       ✗ keeps the caller: away"),
    (fact("call_parked", duration=9.46), "line         ☏ the stream is over after 9.5 s; a person is called"),
    (fact("call_resumed", unreached="busy"), "line         ☏ a new stream: nobody took the call (busy)"),
    (fact("call_resumed", unreached=""), "line         ☏ a new stream: the last one was lost"),
    (
        fact("handoff_asked", agent="advisor", to="closer", reason="agreed"),
        "advisor      ⇄ hands over to closer: agreed",
    ),
    (
        fact("brief_ready", reader="closer", source="groq", took=0.3, why=""),
        "summarizer   ✎ Brief for closer from groq in 300 ms",
    ),
    (
        fact("brief_ready", reader="closer", source="extract", took=1.5, why="deadline"),
        "summarizer   ✎ Brief for closer from extract in 1500 ms (deadline)",
    ),
    (
        fact("handoff_committed", agent="advisor", to="closer", took=0.4),
        "closer       ⇄ takes over from advisor after 400 ms",
    ),
    (
        fact("handoff_gap", agent="closer", gap=0.612),
        "closer       ⇄ first audio 612 ms after the handoff was asked for",
    ),
    (
        fact("handoff_failed", agent="advisor", to="closer", why="HTTP 503"),
        "advisor      ✗ keeps the floor: closer could not start (HTTP 503)",
    ),
    (
        fact("handoff_withdrawn", agent="advisor", to="closer"),
        "advisor      ✗ keeps the floor: the handoff to closer was withdrawn",
    ),
    (fact("session_crashed", agent="closer", error="dropped"), "closer       ✗ crashed: dropped"),
    (fact("session_restarting", agent="closer", delay=0.06), "closer       ↻ starts again in 60 ms"),
    (fact("restarts_exhausted", agent="closer", error="bad key"), "closer       ✗ does not start again: bad key"),
    (fact("goodbye_started", agent="closer", reason="task_complete"), "closer       ◇ says goodbye (task_complete)"),
    (fact("goodbye_heard", agent="closer", complete=True), "closer       ◆ the goodbye was heard to its last word"),
    (fact("goodbye_heard", agent="closer", complete=False), "closer       ◆ the goodbye was heard in part"),
    (fact("digit_pressed", digit="#"), "caller       [presses #]"),
    (fact("digit_pressed", digit=""), "caller       [presses a key]"),
    (
        fact("caller_silent", agent="closer", seconds=10.02, asked=1),
        "closer       ⧗ the caller has said nothing for 10 s: asks for the first time",
    ),
    (
        fact("caller_silent", agent="closer", seconds=10.02, asked=4),
        "closer       ⧗ the caller has said nothing for 10 s: asks for the 4th time",
    ),
    (
        fact("machine_detected", verdict="machine_start", believed=True),
        "line         ☏ Twilio's verdict on the answer: machine_start",
    ),
    (
        fact("machine_detected", verdict="human", believed=False),
        "line         ☏ Twilio's verdict on the answer: human, and the call goes on",
    ),
    (fact("closing_unsaid", outcome="drained"), "line         ☏ ends the call without an agent (drained)"),
    (fact("caller_hung_up", how="stop"), "caller       ☏ hung up"),
    (fact("warning_reported", agent="closer", code="SLOW", description="slow"), "closer       ! SLOW: slow"),
    (
        fact("silence_met", agent="closer", seconds=3.1, filled_by="agent"),
        "closer       ⧗ the caller has waited 3.1 s: asks for a moment",
    ),
    (
        fact("silence_met", agent="switchboard", seconds=4.0, filled_by="clip"),
        "switchboard  ⧗ the caller has waited 4.0 s: a clip asks for a moment",
    ),
    (
        fact("silence_met", agent="closer", seconds=4.0, filled_by="nothing"),
        "closer       ⧗ the caller has waited 4.0 s: there is no clip to play",
    ),
    (fact("frame_refused", where="twilio", why="not JSON"), "twilio       ! frame refused: not JSON"),
    (fact("unrecognised", where="deepgram", what="New"), "deepgram     ? passed over an unknown message: New"),
    (fact("writing_refused", why="disk full"), "scribe       ! the disk refuses journal and recording: disk full"),
    (fact("actor_crashed", actor="scribe", error="disk full"), "scribe       ✗ crashed: disk full"),
    (fact("call_ended", outcome="completed", duration=81.3), "line         ☏ the call is over after 81.3 s: completed"),
]


@pytest.mark.parametrize(("entry", "line"), PLAIN, ids=[str(entry["event"]) for entry, _ in PLAIN])
def test_fact_is_one_plain_line(entry: dict[str, object], line: str) -> None:
    assert shown(log_console(), entry) == f"   1.00  {line}\n"


@pytest.mark.parametrize("event", ["agent_spoke", "caller_spoke", "reply_started", "summary_started", "brand_new_fact"])
def test_facts_that_only_measure_are_not_told(event: str) -> None:
    assert [told(entry.fact) for entry in read([fact(event, agent="closer")])] in ([None], [])


def test_finished_reply_is_not_told_twice() -> None:
    assert shown(log_console(), fact("reply_ended", agent="closer", text="Hi.", heard="Hi.", complete=True)) == ""


def test_long_line_is_not_broken_in_a_log() -> None:
    words = "word " * 60

    assert len(shown(log_console(), fact("turn_heard", text=words.strip())).splitlines()) == 1


def test_whole_call_in_a_log_has_no_control_characters() -> None:
    written = shown(log_console(), *sample_journal())

    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", written) is None
    assert "completed" in written.splitlines()[-1]


def test_no_color_makes_plain_lines_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=80, force_terminal=True)

    assert "\x1b" not in shown(console, *sample_journal())


def test_caller_cannot_steer_the_terminal() -> None:
    written = shown(terminal(), fact("turn_heard", text="hello \x1b]0;owned\x07 [bold]there[/bold]"))

    assert "\x1b]0;" not in written
    assert "[bold]there[/bold]" in written


def test_words_that_a_log_cannot_hold_are_replaced() -> None:
    written = shown(log_console(AsciiOutput()), fact("reply_text", agent="closer", text="Café?"))

    assert written == "   1.00  closer       Caf??\n"


def test_terminal_shows_who_is_on_the_line_and_for_how_long() -> None:
    console = terminal()
    with LiveView(console, frames=lambda: 4250) as view:
        view.show(*read([fact("floor_taken", at=85.0, agent="advisor")]))

        written = output_of(console)

    assert "1:25" in written
    assert "advisor on the line" in written
    assert "4250 frames" in written


def test_nobody_is_on_the_line_after_the_floor_was_left() -> None:
    written = shown(
        terminal(),
        fact("floor_taken", agent="advisor"),
        fact("floor_left", agent="advisor", reason="handoff"),
    )

    assert written.rindex("nobody on the line") > written.rindex("advisor on the line")


def test_clock_of_the_status_line_never_goes_back() -> None:
    console = terminal()
    with LiveView(console) as view:
        view.tick(61.0)
        view.tick(3.0)

    assert "0:03" not in output_of(console)


def test_agents_have_colours_of_their_own_and_their_words_that_of_the_terminal() -> None:
    """A sentence in yellow is not to be read on a light background."""
    written = shown(
        terminal(),
        fact("reply_text", agent="qualifier", text="Hello"),
        fact("reply_text", agent="advisor", text="Welcome"),
    )

    assert "\x1b[1;32mqualifier" in written
    assert "\x1b[1;35madvisor" in written
    assert "     Hello" in written


def test_terminal_is_given_back_when_the_call_fails() -> None:
    console = terminal()
    with pytest.raises(ZeroDivisionError), LiveView(console):
        raise ZeroDivisionError

    assert output_of(console).count("\x1b[?25h") == 1


def test_what_the_call_knows_nothing_of_can_be_told() -> None:
    console = log_console()
    with LiveView(console) as view:
        view.tell(whispered("A caller for you."), 3.0)
        view.tell(person_acted("pressed 1"), 4.5)

    lines = [" ".join(line.split()) for line in output_of(console).splitlines()]
    assert lines == ["3.00 person [hears] A caller for you.", "4.50 person ☏ pressed 1"]


@pytest.mark.parametrize("how", ["disconnect", "nonsense", "no media", "reads nothing", "plays nothing", "new reason"])
def test_a_caller_who_was_cut_off_has_not_hung_up(how: str) -> None:
    line = shown(log_console(), fact("caller_hung_up", how=how))

    assert "was cut off" in line
    assert "hung up" not in line
