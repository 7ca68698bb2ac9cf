"""What the demo keeps of a call, and what it gives the server to know."""

import io
from pathlib import Path

import orjson
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from agents.roster import RosterError, RosterProblem
from demo.options import DemoOptions
from demo.run import FAILED, keep, main, run_demo
from demo.stage import LINE, Door, Keys, demo_settings
from demo.verdict import spoken_words
from protocol.phone_numbers import is_phone_number
from setting_reader import SettingsError
from simulators.asgi import HOST
from simulators.scenario import load_scenario, shipped_scenarios
from simulators.speech import SpeechError
from tests.demo.sample import read, sample_journal


def recording(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_everything_the_server_kept_is_moved_and_drawn(tmp_path: Path) -> None:
    names = ("call.wav", "transcript.json", "journal.jsonl", "record.json")
    kept = keep(recording(tmp_path / "CA1", *names), tmp_path, read(sample_journal()), title="A call")

    assert [path.name for path in kept] == [*names, "timeline.svg"]
    assert all(path.is_file() for path in kept)
    assert list((tmp_path / "CA1").iterdir()) == []


def test_files_of_an_earlier_demo_do_not_stay_behind(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_text("an older call")

    kept = keep(recording(tmp_path / "CA1", "record.json"), tmp_path, [], title="A call")

    assert [path.name for path in kept] == ["record.json", "timeline.svg"]
    assert not (tmp_path / "call.wav").exists()


def test_call_that_was_never_carried_leaves_only_its_picture(tmp_path: Path) -> None:
    kept = keep(tmp_path / "nothing", tmp_path, [], title="A call")

    assert [path.name for path in kept] == ["timeline.svg"]


def test_settings_know_only_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "a-real-key")
    keys = Keys()

    settings = demo_settings(
        keys,
        {
            "DEEPGRAM_API_KEY": keys.deepgram,
            "DEEPGRAM_AGENT_URL": "ws://127.0.0.1:1/v1/agent/converse",
            "DEEPGRAM_SPEAK_URL": "http://127.0.0.1:5/v1/speak",
            "GROQ_API_KEY": keys.groq,
            "GROQ_BASE_URL": "http://127.0.0.1:2",
        },
        twilio="http://127.0.0.1:3",
        server="http://127.0.0.1:4",
        recordings=tmp_path,
    )

    assert settings.deepgram_api_key == keys.deepgram
    urls = (
        settings.deepgram_agent_url,
        settings.deepgram_speak_url,
        settings.groq_base_url,
        settings.twilio_api_url,
    )
    assert all(url.partition("//")[2].startswith(HOST) for url in (*urls, settings.lead_server_external_url))


def test_keys_are_new_for_every_demo_and_not_shown() -> None:
    keys = Keys()

    assert keys.operator != Keys().operator
    assert keys.operator not in repr(keys)


def test_door_says_where_it_is_before_it_is_served() -> None:
    door, other = Door(), Door()

    assert door.url.startswith(f"http://{HOST}:")
    assert door.url != other.url
    for one in (door, other):
        one.close()


@pytest.mark.parametrize("name", shipped_scenarios())
def test_shipped_scenarios_have_something_to_say_to_a_number_we_can_call(name: str) -> None:
    scenario = load_scenario(name)

    assert spoken_words(scenario)
    assert is_phone_number(scenario.caller.number)
    assert scenario.caller.number != LINE


def test_journal_of_the_sample_is_plain_json() -> None:
    assert orjson.loads(orjson.dumps(sample_journal())) == sample_journal()


async def test_folder_that_cannot_be_made_is_said_plainly(autojump_clock: MockClock) -> None:
    console = Console(file=io.StringIO(), width=80)

    status = await run_demo(DemoOptions(out=Path("/proc/nowhere/demo")), console)

    assert status == FAILED
    assert isinstance(console.file, io.StringIO)
    assert "it cannot write to /proc/nowhere/demo" in console.file.getvalue()


@pytest.mark.parametrize(
    "error",
    [
        RosterError([RosterProblem("agents/advisor.py", "line 82", "syntax error: invalid syntax")]),
        SpeechError("espeak-ng is not installed"),
        OSError(98, "Address already in use"),
        SettingsError(("MAX_CALLS is missing.",)),
    ],
)
def test_a_demo_that_cannot_be_played_says_why_in_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def perform(*_: object) -> int:
        await trio.lowlevel.checkpoint()
        raise error

    monkeypatch.setattr("demo.run._perform", perform)
    monkeypatch.setattr("demo.run.configure_logs", lambda **_: None)
    console = Console(file=io.StringIO(), width=200)

    status = main(DemoOptions(), console)

    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert status == FAILED
    assert f"The demo cannot be played: {error}".split() == written.split()
