"""Checks of ids and counts in signed requests: a signature does not say that they are well-formed.

What comes in is kept under these ids, in folders and in rows, and counted by these counts.
"""

import re
from collections.abc import Mapping

_CALL_SID = r"CA[0-9a-fA-F]{32}"
_IDS: Mapping[str, str] = {
    "CallSid": _CALL_SID,
    "ParentCallSid": _CALL_SID,
    "DialCallSid": _CALL_SID,
    "StreamSid": r"MZ[0-9a-fA-F]{32}",
    "RecordingSid": r"RE[0-9a-fA-F]{32}",
    "call": _CALL_SID,  # of our own addresses, which Twilio gives back
    "order": r"[A-Za-z0-9_-]{1,64}",
}
"""Fields and arguments that are ids. Other fields are not looked at: Twilio may send what it likes."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def malformed(*given: Mapping[str, str]) -> str:
    """Return the first field that is an id and does not look like one; empty where there is none."""
    for fields in given:
        for field, pattern in _IDS.items():
            value = fields.get(field, "")
            if value and re.fullmatch(pattern, value) is None:
                return field
    return ""


def is_call_sid(text: str) -> bool:
    """Tell whether `text` is a CallSid."""
    return re.fullmatch(_CALL_SID, text) is not None


def is_stream_sid(text: str) -> bool:
    """Tell whether `text` is the id of a media stream."""
    return re.fullmatch(_IDS["StreamSid"], text) is not None


def is_name(text: str) -> bool:
    """Tell whether `text` may name a call in an address: a CallSid, an order's id, or one of another server."""
    return _NAME.fullmatch(text) is not None


def count_of(text: str) -> int:
    """Read a count; 0 for what is none, or greater than anybody counts."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
