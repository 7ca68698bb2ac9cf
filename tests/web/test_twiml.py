"""Twilio is told what to do in documents that it understands: the builder lets misspelt attributes through."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from agents.sentences import ENGLISH
from protocol.twilio import twiml

ALLOWED = {
    "Response": set(),
    "Connect": {"action"},
    "Stream": {"url", "statusCallback"},
    "Parameter": {"name", "value"},
    "Hangup": set(),
    "Say": set(),
    "Dial": {"action", "answerOnBridge", "callerId", "timeout"},
    "Number": {"url"},
    "Gather": {"action", "input", "numDigits", "timeout"},
}
"""https://www.twilio.com/docs/voice/twiml"""

DOCUMENTS = [
    twiml.connect_stream("https://a.example", "wss://a.example/twilio", "t"),
    twiml.say_and_end(ENGLISH.busy),
    twiml.say_and_end("Sorry.", dial="+15559870000", line="+15551230000"),
    twiml.say_and_end("Sorry."),
    twiml.put_through("https://a.example", "+15559870000", "+15551230000", "CA1", whispers=True),
    twiml.put_through("https://a.example", "+15559870000", "+15551230000", "CA1", whispers=False),
    twiml.whisper("https://a.example", "CA1", 'A call from Zoë "Q" <&>, about a pension.'),
    twiml.connect_stream("https://a.example", "wss://a.example/twilio", "t", again=True),
    twiml.hang_up(),
    twiml.nothing(),
]


def elements(document: str) -> Iterator[ET.Element]:
    return ET.fromstring(document).iter()  # noqa: S314 - our own


@pytest.mark.parametrize("document", DOCUMENTS)
def test_only_known_attributes_are_written(document: str) -> None:
    assert [one.tag for one in elements(document) if not set(one.attrib) <= ALLOWED[one.tag]] == []


@pytest.mark.parametrize("document", DOCUMENTS[:-1])
def test_a_document_that_does_something_ends_by_hanging_up(document: str) -> None:
    assert list(ET.fromstring(document))[-1].tag == "Hangup"  # noqa: S314 - our own


def test_the_stream_is_our_socket_and_carries_the_token() -> None:
    found = {one.tag: one.attrib for one in elements(DOCUMENTS[0])}

    assert found["Connect"] == {"action": "https://a.example/twilio/after"}
    assert found["Stream"] == {"url": "wss://a.example/twilio", "statusCallback": "https://a.example/twilio/stream"}
    assert found["Parameter"] == {"name": "token", "value": "t"}


def test_special_characters_survive() -> None:
    document = twiml.connect_stream("https://a.example", "wss://a.example/twilio", 'Zoë "Q" <&> 日本')

    assert [one.get("value") for one in elements(document) if one.tag == "Parameter"] == ['Zoë "Q" <&> 日本']


def test_an_apology_dials_the_fallback_number_from_our_line() -> None:
    found = {one.tag: one for one in elements(DOCUMENTS[2])}

    assert (found["Number"].text, found["Dial"].get("callerId")) == ("+15559870000", "+15551230000")


def test_a_person_is_dialled_from_our_line_and_whispered_to() -> None:
    found = {one.tag: one for one in elements(DOCUMENTS[4])}

    assert found["Dial"].attrib == {
        "action": "https://a.example/twilio/dialled",
        "answerOnBridge": "true",
        "callerId": "+15551230000",
        "timeout": "20",
    }
    assert found["Number"].attrib == {"url": "https://a.example/twilio/whisper?call=CA1&language=&press="}
    assert found["Number"].text == "+15559870000"


def test_without_a_whisper_anybody_who_answers_is_connected() -> None:
    assert next(one for one in elements(DOCUMENTS[5]) if one.tag == "Number").attrib == {}


def test_a_whisper_asks_for_one_key_and_hangs_up_without_it() -> None:
    gather, hangup = ET.fromstring(DOCUMENTS[6])  # noqa: S314 - our own

    assert gather.attrib["numDigits"] == "1"
    assert gather.attrib["action"] == "https://a.example/twilio/accepted?call=CA1"
    assert [say.text for say in gather] == ['A call from Zoë "Q" <&>, about a pension.']
    assert hangup.tag == "Hangup"
