"""What the routes of one application share. Built once, passed by hand; nothing in `web/` is global.

`Office` owns no connection and no task: it is the table on which the parts lie. `opening` is the one place that says
which part gets which setting.
"""

import attrs

from actors.call import CallServices
from actors.journal import Entry
from settings import Settings
from web.calls.admission import Admissions
from web.calls.counts import Counts
from web.calls.ending import Announced
from web.calls.live_calls import Board
from web.calls.outcomes import Outcomes
from web.calls.pace import Pace
from web.calls.rate_limits import Doorstep, Strangers
from web.calls.slots import Slots
from web.calls.streams import Streams
from web.calls.token_store import Holes, Pigeonholes
from web.calls.verdicts import Verdicts
from web.clients.signatures import TwilioSignatures
from web.clients.twilio import Line


@attrs.frozen
class Office:
    """The parts that routes work with; `services.records` announces what is saved to it."""

    settings: Settings
    line: Line
    services: CallServices
    admissions: Admissions
    signatures: TwilioSignatures
    slots: Slots
    board: Board
    counts: Counts
    pace: Pace
    outcomes: Outcomes
    announced: Announced
    verdicts: Verdicts
    streams: Streams = attrs.field(factory=Streams)
    strangers: Strangers = attrs.field(factory=Strangers)
    doorstep: Doorstep = attrs.field(factory=Doorstep)


def opening(
    settings: Settings,
    services: CallServices,
    line: Line,
    *,
    holes: Holes | None = None,
    slots: Slots | None = None,
) -> Office:
    """Lay the table for one application; pigeonholes are this worker's own unless given."""
    slots = slots or Slots(settings.max_calls)
    board, counts, observe = Board(), Counts(slots), services.observe
    announced, admissions = Announced(services.records, board, counts), Admissions(holes or Pigeonholes())

    def seen(entry: Entry) -> None:
        counts.observe(entry)
        observe(entry)

    return Office(
        settings=settings,
        line=line,
        services=attrs.evolve(services, records=announced, observe=seen),
        admissions=admissions,
        signatures=TwilioSignatures(settings.lead_server_external_url, settings.twilio_auth_token),
        slots=slots,
        board=board,
        counts=counts,
        pace=Pace(settings.calls_per_second),
        outcomes=Outcomes(announced, admissions),
        announced=announced,
        verdicts=Verdicts(admissions, services.intercom),
    )
