"""What a signed webhook says of its call, and how it is answered: the parts that the routes of Twilio share."""

from quart import Response
from werkzeug.datastructures import MultiDict

from protocol.phone_numbers import identity_of
from web.calls.admission import Admission


def xml(document: str) -> Response:
    """Answer with TwiML."""
    return Response(document, content_type="text/xml; charset=utf-8")


def arrival_of(form: MultiDict[str, str], order: str) -> Admission:
    """Read who calls whom; the key is the one under which a line may have been reserved already."""
    outbound = form.get("Direction", "inbound").startswith("outbound")
    ours, theirs = ("From", "To") if outbound else ("To", "From")
    call_sid = form.get("CallSid", "")
    return Admission(
        call_sid=call_sid,
        direction="outbound" if outbound else "inbound",
        caller=identity_of(form.get(theirs, "")),
        line=identity_of(form.get(ours, "")),
        key=order if outbound and order else call_sid,
    )
