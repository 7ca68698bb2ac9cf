"""The official SDK writes any attribute it is given: what our TwiML holds is compared with what its methods name."""

import inspect
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from twilio.twiml import voice_response as sdk

from protocol.twilio import twiml
from simulators.twilio.twiml import IgnoredVerb, parse_twiml

ORIGIN, CALL = "https://agent.example.com", "CA0123456789abcdef0123456789abcdef"
OURS, HUMAN = "+15550009999", "+15551239999"

DOCUMENTS = {
    "stream": twiml.connect_stream(ORIGIN, "wss://agent.example.com/twilio", 'Zoë "Q" <&>'),
    "stream again": twiml.connect_stream(ORIGIN, "wss://agent.example.com/twilio", "abc", again=True),
    "apology": twiml.say_and_end("Sorry.", dial=HUMAN, line=OURS),
    "apology without anybody": twiml.say_and_end("Sorry."),
    "put through": twiml.put_through(ORIGIN, HUMAN, OURS, CALL, whispers=True),
    "put through silently": twiml.put_through(ORIGIN, HUMAN, OURS, CALL, whispers=False),
    "whisper": twiml.whisper(ORIGIN, CALL, "John, about a pension."),
    "hang up": twiml.hang_up(),
    "nothing": twiml.nothing(),
}


def unknown_in(element: ET.Element, parent: Any) -> Iterator[str]:  # noqa: ANN401 -- the SDK has no types
    """Name the nested elements and attributes that the parent's methods do not name."""
    for child in element:
        method = getattr(parent, re.sub(r"(?<!^)([A-Z])", r"_\1", child.tag).lower(), None)
        if method is None:
            yield f"<{child.tag}> in <{element.tag}>"
            continue
        named = {
            re.sub(r"_([a-z])", lambda part: part[1].upper(), name) for name in inspect.signature(method).parameters
        }
        yield from (f"{name} of <{child.tag}>" for name in child.attrib if name not in named)
        yield from unknown_in(child, getattr(sdk, child.tag))


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_sdk_names_every_verb_and_attribute_that_we_send(document: str) -> None:
    root = ET.fromstring(document)  # noqa: S314 -- our own

    assert root.tag == "Response"
    assert list(unknown_in(root, sdk.VoiceResponse)) == []
    assert not any(isinstance(verb, IgnoredVerb) for verb in parse_twiml(document, ORIGIN))


@pytest.mark.parametrize(
    ("document", "unknown"),
    [
        ("<Response><Connect><Stream statusCallBack='x'/></Connect></Response>", "statusCallBack of <Stream>"),
        (
            "<Response><Start><Recording recordingChannels='dual'/></Start></Response>",
            "recordingChannels of <Recording>",
        ),
        ("<Response><Stream url='wss://a'/></Response>", "<Stream> in <Response>"),
    ],
)
def test_what_the_sdk_would_only_write_down_is_found(document: str, unknown: str) -> None:
    assert list(unknown_in(ET.fromstring(document), sdk.VoiceResponse)) == [unknown]  # noqa: S314 -- the test's own
