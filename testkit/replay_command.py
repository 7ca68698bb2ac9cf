"""`switchboard replay`: from the name of a recorded call to the lines that are printed."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import trio
from trio.testing import MockClock

from agents.roster import Roster, roster_from
from model_settings import AGENTS
from setting_reader import read_one
from settings import RECORDINGS_DIR
from testkit.play import roster_of
from testkit.recording import ReplayRefused, anonymise, find_journal, read_journal
from testkit.replay import replay, report


def replay_call(
    name: str, agents: str, anonymous: Path | None, environ: Mapping[str, str]
) -> tuple[Sequence[str], bool]:
    """Play a call again; return what to print, and whether it was the same.

    *Raises* `ReplayRefused`, `RosterError` and `SettingsError`.
    """
    folder: Path | None = read_one(environ, RECORDINGS_DIR)
    try:
        text = find_journal(name, folder).read_text(encoding="utf-8")
        if anonymous is not None:
            text = anonymise(text)
            anonymous.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ReplayRefused(f"{exc.filename or name}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ReplayRefused(f"{name}: is no journal: it is not text in UTF-8") from exc
    roster = chosen_roster(agents, environ)
    replayed = trio.run(partial(replay, read_journal(text), roster), clock=MockClock(autojump_threshold=0))
    return list(report(replayed)), not replayed.differences


def chosen_roster(agents: str, environ: Mapping[str, str]) -> Roster:
    """Load the agents of an option; where it was not given, those of the server's setting.

    *Raises* `RosterError` and `SettingsError`.
    """
    return roster_of(agents) if agents else roster_from(read_one(environ, AGENTS))
