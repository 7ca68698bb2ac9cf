"""Running calls, whichever worker carries them: seen, and told something.

`Commands.tell` tells a call here by the intercom, and a call elsewhere by the fleet: its worker hears it at once, or
within a second where a notification is lost. A command of a newer server that this one does not know is logged and does
nothing.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

import attrs
import orjson
import structlog

from actors.endings.intercom import Intercom
from actors.messages import ToCall
from store.fleet.shared import Command, Fleet, LiveCall
from web.calls.live_calls import KnownCall, LiveCalls

_KINDS: Mapping[str, type[ToCall]] = {kind.__name__: kind for kind in get_args(ToCall)}

_log = structlog.stdlib.get_logger()


def written(message: ToCall) -> str:
    """Write a message down for another worker."""
    return orjson.dumps({"kind": type(message).__name__, **attrs.asdict(message)}).decode()


def read(body: str) -> ToCall:
    """Read what `written` has written.

    Raises: `ValueError` for a message of another version.
    """
    try:
        fields = orjson.loads(body)
        return _KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"no message that this version knows: {exc}") from exc


async def everywhere(live_calls: LiveCalls, fleet: Fleet) -> Sequence[KnownCall]:
    """Return the live calls of this worker, newest first, and then those that only other workers know."""
    here = [call for call in live_calls.newest() if call.live]
    known = {name for call in here for name in (call.id, call.call_sid)}
    return [*here, *(_known(call) for call in await fleet.live() if not known & {call.key, call.call_sid})]


async def find_elsewhere(name: str, fleet: Fleet) -> KnownCall | None:
    """Return a call that runs on any worker, by our id or by Twilio's."""
    return next((_known(call) for call in await fleet.live() if name in {call.key, call.call_sid}), None)


def _known(call: LiveCall) -> KnownCall:
    return KnownCall(
        id=call.key,
        direction=call.direction,
        caller=call.caller,
        line=call.line,
        status="in-progress",
        call_sid=call.call_sid,
        streamed=True,
        created_at=call.started_at,
    )


@attrs.frozen
class Commands:
    """Tells calls something."""

    intercom: Intercom
    fleet: Fleet

    async def tell(self, call_sid: str, message: ToCall) -> bool:
        """Tell one call something; False if it runs nowhere, as far as is known."""
        if self.intercom.tell(call_sid, message):
            return True
        return bool(call_sid) and await self.fleet.tell(call_sid, written(message))

    def hear(self, command: Command) -> None:
        """Take what another worker wants of a call here."""
        try:
            message = read(command.body)
        except ValueError as exc:
            _log.warning("command_unknown", call_sid=command.call_sid, why=str(exc))
            return
        if not self.intercom.tell(command.call_sid, message):
            _log.info("command_too_late", call_sid=command.call_sid, what=type(message).__name__)
