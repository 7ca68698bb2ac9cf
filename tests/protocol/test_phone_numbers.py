"""Who is at the other end, in whichever form the telephone network says it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.phone_numbers import LONGEST_IDENTITY, identity_of, is_phone_number
from tests.examples import UNICODE

LEAD = "+15557650000"


@pytest.mark.parametrize(
    "text",
    [
        LEAD,
        f"sip:{LEAD}@acme.example",
        f"sips:{LEAD}@acme.example:5061;transport=tls",
        f"sip:{LEAD};ext=7@acme.example;user=phone",
        f"sip:{LEAD}:secret@acme.example",
        "sip:%2B15557650000@acme.example",
        f"SIP:{LEAD}@ACME.EXAMPLE",
        f"<sip:{LEAD}@acme.example>;tag=9fxced76sl",
        f'"Ada <3 Lovelace" <sip:{LEAD}@acme.example;user=phone>;tag=88sja8x',
        f"Anonymous <sip:{LEAD}@acme.example>",
        f"tel:{LEAD}",
        "tel:+1-555-765-0000;phone-context=example.com",
        "tel:+1(555)765.0000",
        f"whatsapp:{LEAD}",
        f"client:{LEAD}",
        f"{LEAD}@acme.example",
        f" {LEAD} ",
        "+1 555 765 0000",
    ],
)
def test_the_number_in_an_identity_is_found(text: str) -> None:
    assert identity_of(text) == LEAD


@pytest.mark.parametrize(
    "text",
    [
        "client:reception_desk",
        "03012345678",
        "15557650000",
        "0015557650000",
        "7042",
        "+464",
        "+0123456789",
        "sip:alice@acme.example",
        "sips:7042@acme.example;user=phone",
        '"Alice" <sip:alice@acme.example>;tag=88sja8x',
        "sip:acme.example",
        "tel:7042;phone-context=+1555",
        "whatsapp:business",
        "messenger:1234567890",
        "client:private_office",
        "+1555765000012345",
    ],
)
def test_an_identity_without_a_number_stays_as_it_came(text: str) -> None:
    assert identity_of(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "anonymous",
        "Anonymous",
        "ANONYMOUS",
        "unknown",
        "Restricted",
        "unavailable",
        "Private",
        "blocked",
        "No Caller ID",
        "Private Number",
        "+266696687",
        "266696687",
        "+7378742833",
        "+2562533",
        "+8656696",
        "+86282452253",
        "+7748283",
        "sip:+266696687@acme.example",
        "sip:anonymous@anonymous.invalid",
        '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1',
        "sips:Restricted@acme.example",
        "client:Anonymous",
        "tel:+8656696",
    ],
)
def test_a_number_that_is_withheld_is_no_number(text: str) -> None:
    assert identity_of(text) == ""


def test_an_identity_is_one_printable_line_of_a_bounded_length() -> None:
    assert identity_of("client:a\r\n\x00b") == "client:ab"
    assert len(identity_of("client:" + "x" * 10_000)) == LONGEST_IDENTITY


@given(st.text(UNICODE))
def test_whatever_comes_is_read(text: str) -> None:
    read = identity_of(text)

    assert identity_of(read) == read
    assert not is_phone_number(read) or read.removeprefix("+").isdigit()
