"""Client of a running switchboard's campaigns and do-not-call list, for the command line.

Whatever goes wrong is `OperatorError`, in words for the person at the keyboard.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import attrs
import httpx

from web.clients.operator import Shown, ask, in_address, shown_by


def time_left(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@attrs.frozen
class CampaignClient:
    """A client of one server's `/campaigns` and `/do-not-call`. Every method raises `OperatorError`."""

    http: httpx.AsyncClient

    async def create(self, given: Mapping[str, object]) -> Shown:
        """Make a campaign."""
        return shown_by(await ask(self.http, "POST", "/campaigns", given))

    async def campaigns(self) -> Sequence[Shown]:
        """Return the newest campaigns, newest first."""
        return cast("Sequence[Shown]", shown_by(await ask(self.http, "GET", "/campaigns")).get("campaigns", ()))

    async def campaign(self, name: str) -> Shown:
        """Return one campaign, and how it goes."""
        return shown_by(await ask(self.http, "GET", f"/campaigns/{in_address(name)}"))

    async def turn(self, name: str, command: str) -> Shown:
        """Pause a campaign, resume or cancel it."""
        return shown_by(await ask(self.http, "POST", f"/campaigns/{in_address(name)}/{command}"))

    async def export(self, name: str, form: str) -> bytes:
        """Return the results of a campaign."""
        return (await ask(self.http, "GET", f"/campaigns/{in_address(name)}/export?format={form}")).content

    async def refuse_number(self, number: str, why: str) -> None:
        """Put a number on the do-not-call list."""
        await ask(self.http, "PUT", f"/do-not-call/{in_address(number)}?why={in_address(why)}")

    async def allow_number(self, number: str) -> None:
        """Take a number from the do-not-call list."""
        await ask(self.http, "DELETE", f"/do-not-call/{in_address(number)}")

    async def refused_numbers(self) -> Sequence[Shown]:
        """Return the do-not-call list."""
        found, after = list[Shown](), ""
        while page := await self._page(after):
            found += page
            after = str(page[-1]["number"])
        return found

    async def _page(self, after: str) -> Sequence[Shown]:
        answer = shown_by(await ask(self.http, "GET", f"/do-not-call?after={in_address(after)}"))
        return cast("Sequence[Shown]", answer["numbers"])
