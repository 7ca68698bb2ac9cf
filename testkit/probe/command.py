"""`switchboard probe`: from its options to the lines that are printed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from agents.roster import Roster
from model_settings import AGENTS
from setting_reader import Variable, optional, read_one
from setting_values import http_url, key
from simulators.toml_reader import ScenarioError
from testkit.probe.asking import ProbeError, Prober
from testkit.probe.cases import Case, load_cases
from testkit.probe.cassettes import Cassettes
from testkit.probe.verdict import Price, judge_all, report
from testkit.replay import chosen_roster
from web.clients.http import http_client

SHIPPED_CASES: Final = Path(__file__).with_name("shipped.toml")
DEADLINE: Final = 60.0
_TELLS_EVERY: Final = 10

PROBE_URL: Final = Variable(
    "PROBE_URL",
    "base URL of the OpenAI-compatible API that is asked; needed unless --offline is given",
    "https://api.openai.com/v1",
    optional(http_url),
    default="",
)
PROBE_API_KEY: Final = Variable(
    "PROBE_API_KEY",
    "the key for PROBE_URL; none is sent where it is not set",
    "sk-0123abcd",
    optional(key),
    default="",
    secret=True,
)
PROBE_MODEL: Final = Variable(
    "PROBE_MODEL", "LLM that is asked; needed unless --model is given", "gpt-5.4-mini", str, default=""
)
PROBE_VARIABLES: Final[tuple[Variable[str | None], ...]] = (PROBE_URL, PROBE_API_KEY, PROBE_MODEL)
"""Settings of the probe alone: the server neither reads nor checks them."""


@attrs.frozen
class Probe:
    """The questions of a probe."""

    cases: tuple[Path, ...]
    model: str
    runs: int
    cassettes: Path
    offline: bool
    price: tuple[float, float] | None


def probe_agents(probe: Probe, environ: Mapping[str, str], tell: Callable[[str], None]) -> tuple[list[str], bool]:
    """Ask what is not kept yet, and judge; return what to print, and whether everything was right.

    *Raises* `RosterError`, `SettingsError`, `ScenarioError`, `CassetteError`, and groups of it and `ProbeError`.
    """
    roster = chosen_roster(environ)
    if not probe.cases and AGENTS.default not in roster.entries:
        raise ScenarioError("these agents have no cases of their own: give --cases FILE.toml")
    cases = load_cases(probe.cases or (SHIPPED_CASES,), roster)
    model = probe.model or environ.get(PROBE_MODEL.name, "")
    if not model:
        raise ProbeError("no model: give --model, or set PROBE_MODEL")
    cassettes = Cassettes(probe.cassettes)
    if not probe.offline:
        trio.run(_ask, probe, cases, roster, model, environ, tell)
    judged = judge_all(cases, roster, model, cassettes, probe.runs)
    price = None if probe.price is None else Price(*probe.price)
    lines = list(report(judged, cassettes, model, probe.runs, price))
    return lines, all(not each.wrong and not each.stale for each in judged)


async def _ask(  # noqa: PLR0917 - what trio.run passes on
    probe: Probe,
    cases: list[Case],
    roster: Roster,
    model: str,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> None:
    url, secret = read_one(environ, PROBE_URL), read_one(environ, PROBE_API_KEY)
    if url is None:
        raise ProbeError("no endpoint: set PROBE_URL, such as https://api.openai.com/v1; or give --offline")

    def progress(done: int, of: int) -> None:
        if of and (done % _TELLS_EVERY == 0 or done == of):
            tell(f"{done} of {of} answers")

    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    async with http_client(base_url=f"{url}/", headers=headers, timeout=DEADLINE) as http:
        await Prober(http, roster, model, Cassettes(probe.cassettes), probe.runs, progress=progress).ask(cases)
