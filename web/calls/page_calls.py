"""Calls that come from the browser's phone, as far as they differ from other calls.

A page speaks Media Streams, so a call from it is a call like any other, with a record of its own. But no telephone
network is behind it: nobody can be asked to end it, to put it through, or to connect it again. Closing its stream ends
it, and when its stream is over, it is over.
"""

import secrets

import attrs

from actors.call_services import CallServices
from web.calls.admission import Admission
from web.calls.live_calls import KnownCall

PAGE_CALLER = "client:page"
"""The caller in the records of these calls; Twilio writes its own browser phones so, too."""
PAGE_ACCOUNT = "AC" + "0" * 32


def is_page_call(call: KnownCall | None) -> bool:
    return call is not None and call.caller == PAGE_CALLER


def new_admission(visitor: str, takes_over: str = "") -> Admission:
    """Return what is known of a new stream from the page of this visitor: a call, or the operator's side of one."""
    call_sid = f"CA{secrets.token_hex(16)}"
    return Admission(call_sid, "inbound", PAGE_CALLER, "", key=call_sid, visitor=visitor, takes_over=takes_over)


def new_stream_sid() -> str:
    return f"MZ{secrets.token_hex(16)}"


class PageLine:
    """The telephone network of a call that has none: the call is over when its stream is closed."""

    async def hang_up(self, call_sid: str) -> None:
        """Leave it to the stream's end."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Say nothing: no network speaks for us. The page tells how the call has ended."""


def services_for_page(services: CallServices) -> CallServices:
    """Return what a call from a page is given: no network to ask, and nobody to be put through to."""
    return attrs.evolve(services, line=PageLine(), transfers=None, operator_transfers=None)
