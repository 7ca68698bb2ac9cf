from collections.abc import Callable

import pytest
from hypothesis import given

from protocol import fields
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.fields import JSON, Fields, shown
from tests.protocol.strategies import QUICK, values


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\x00", "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('"\\ud800"', "not JSON"),
        ("\ud800", "not JSON"),
        ("[" * 2000, "not JSON"),
        ("[]", "not an array"),
        ('"x"', "not a string"),
        ("true", "not a boolean"),
        ("1.5", "not a number"),
        ("null", "not null"),
    ],
)
def test_what_is_no_json_object_is_refused_in_words(frame: str | bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        fields.load_object(frame)


@pytest.mark.parametrize("value", ["\ud800", 2**80])
def test_what_cannot_be_json_is_our_bug(value: JSON) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent as JSON"):
        fields.dump({"content": value})


def test_text_travels_as_utf8_without_spaces() -> None:
    assert fields.dump({"a": ["ž", None, 1.5]}) == '{"a":["ž",null,1.5]}'


READERS: list[Callable[[Fields], object]] = [
    lambda found: fields.text(found, "key"),
    lambda found: fields.optional_text(found, "key"),
    lambda found: fields.text_or(found, "key", "default"),
    lambda found: fields.whole_number(found, "key", 7),
    lambda found: fields.measurement(found, "key"),
    lambda found: fields.child(found, "key"),
    lambda found: fields.children(found, "key"),
    lambda found: fields.texts_among(found, "key"),
]


@QUICK
@given(value=values)
def test_a_reader_returns_or_raises_remote_protocol_error_whatever_it_meets(value: JSON) -> None:
    for read in READERS:
        for found in ({}, {"key": value}):
            try:
                read(found)
            except RemoteProtocolError as error:
                assert error.reason.startswith("key: ")  # noqa: PT017 -- the error is half of the promise


@pytest.mark.parametrize(("read", "default"), [(READERS[1], None), (READERS[2], "default"), (READERS[3], 7)])
def test_missing_and_null_are_the_same_where_a_field_is_optional(
    read: Callable[[Fields], object], default: object
) -> None:
    assert read({}) == read({"key": None}) == default


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        ("0.25", 0.25),
        ("12", 12.0),
        (0, 0.0),
        ("nan", None),
        ("inf", None),
        (10**400, None),
        (True, None),
        ("x", None),
        ([], None),
    ],
)
def test_a_measurement_may_come_as_text_and_nonsense_is_no_measurement(value: JSON, number: float | None) -> None:
    assert fields.measurement({"key": value}, "key") == number


@pytest.mark.parametrize("value", [1.5, "x", True, 1e300, []])
def test_a_whole_number_is_whole(value: JSON) -> None:
    with pytest.raises(RemoteProtocolError, match="key: a whole number is wanted"):
        fields.whole_number({"key": value}, "key", 0)


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ("https://me:hunter2@host.example.com/x?key=hunter2", "https://…@host.example.com/x?…"),
        ("https://host.example.com/x?name=a@b&key=hunter2", "https://…?…"),
        ("https://host.example.com/#token=hunter2", "https://host.example.com/#…"),
        ("https://user1234567890abcdefghij:hunter2@host", "https://…@host"),
        ("me:hunter2@host.example.com", "…@host.example.com"),
        ("postgres://me:hun ter2@host/calls", "postgres://…@host/calls"),
        ("sk-proj-Ab1cD2eF3g-H4iJ5kL6mN7oP8qR9-sT0uV1w", "sk… (44 characters)"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJ… (40 characters)"),
        ("8f14e45f-ceea-467a-9575-6c2a7b2e3c1d", "8f… (36 characters)"),
    ],
)
def test_of_a_refused_text_no_secret_is_shown(refused: str, told: str) -> None:
    assert shown(refused) == told


@pytest.mark.parametrize(
    "refused",
    [
        "50 # lines",
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        "claude-3-5-sonnet-20241022",
        "/Users/Alex2/Recordings/calls-of-the-year",
        r"C:\recordings\Alex2",
        "wss://agent.example.com:99999/v1/agent/converse",
        "mail jo@example.com: now",
    ],
)
def test_a_refused_text_without_a_secret_is_shown_whole(refused: str) -> None:
    assert shown(refused) == refused
