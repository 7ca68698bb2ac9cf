"""Phone numbers and names of callers are hidden in every form that they are written in."""

import pytest

from store.masking import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+15551230042", "+***42"),
        ("from +15551230042 to +447700900123.", "from +***42 to +***23."),
        ("To=%2B15551230042&x", "To=%2B***42&x"),
        ("2026-11-22T09:00:00+00:00", "2026-11-22T09:00:00+00:00"),
        ("sip:+15551230042@example.com", "sip:+***42@example.com"),
        ("to:+15551230042", "to:+***42"),
        ("1+15551230042", "1+15551230042"),
        ("CA" + "1" * 32, "CA" + "1" * 32),
        ("took 12345678 ns", "took 12345678 ns"),
        # without a plus
        ("15551230042", "***42"),
        ("for 15551230042: no", "for ***42: no"),
        ("To=15551230042&From=442079460958", "To=***42&From=***58"),
        ("0015551230042", "***42"),
        ("493012345", "***45"),
        ("'15551230042'", "'***42'"),
        ("15551230042.wav", "***42.wav"),
        ("call_15551230042 order-15551230042", "call_***42 order-***42"),
        ("15551230042,15551230043", "***42,***43"),
        # in addresses
        ("sip:15551230042@example.com", "sip:***42@example.com"),
        ("sips:15551230042@example.com;user=phone", "sips:***42@example.com;user=phone"),
        ("whatsapp:+15551230042", "whatsapp:+***42"),
        ("whatsapp:15551230042", "whatsapp:***42"),
        ("tel:5550042", "tel:***42"),
        ("sip%3A%2B15551230042%40example.com", "sip%3A%2B***42%40example.com"),
        ("From=whatsapp%3A%2b15551230042", "From=whatsapp%3A%2b***42"),
        ("From=%2b15551230042", "From=%2b***42"),
        ("sip%3A15551230042", "sip%3A***42"),
        # of people without a number
        ("sip:alice@acme.example", "sip:***ce@acme.example"),
        ('"Alice Smith" <sips:alice.smith@acme.example:5061>', "*** <sips:***th@acme.example:5061>"),
        ("sip%3Aalice%40acme.example", "sip%3A***ce%40acme.example"),
        ("sip:*31%2315551230042@example.com", "sip:***42@example.com"),
        ("sip:201@acme.example;transport=udp", "sip:***1@acme.example;transport=udp"),
        ("sip:al@acme.example, client:bo", "sip:***@acme.example, client:***"),
        ("From=client:reception_desk&To=x", "From=client:***sk&To=x"),
        ("whatsapp:ada.l", "whatsapp:***.l"),
        ("client:page", "client:page"),
        ("client:page-ada", "client:***da"),
        # a scheme in any case: RFC 3986, 3.1
        ("SIP:alice@acme.example", "SIP:***ce@acme.example"),
        ("Client:reception_desk, WhatsApp:ada.l", "Client:***sk, WhatsApp:***.l"),
        ("Sips%3Aalice%40acme.example", "Sips%3A***ce%40acme.example"),
        ("TEL:5550042", "TEL:***42"),
        ('"Alice Smith" <SIP:alice@acme.example>', "*** <SIP:***ce@acme.example>"),
        ("Client:page", "Client:***ge"),
        ("sip:page@acme.example", "sip:***ge@acme.example"),
        # in groups
        ("+1 555 123 0042", "+***42"),
        ("+1 (555) 123-0042", "+***42"),
        ("call +1-555-123-0042 now", "call +***42 now"),
        ("+49 (0)30 1234 567", "+***67"),
        ("+44 20 7946 0958.", "+***58."),
        ("+1.555.123.0042", "+***42"),
        ("(555) 123-0042", "***42"),
        ("555-123-0042", "***42"),
        ("555.123.0042", "***42"),
        ("1-555-123-0042", "***42"),
        ("0044 20 7946 0958", "***58"),
        ("030 12345678", "***78"),
        ("0171/2345678", "***78"),
        ("after 3 555-123-0042", "after 3 ***42"),
        ("555-123-0042 3 times", "***42 3 times"),
        ("20 0171 2345678", "20 ***78"),
        ("17 +1 555 123 0042", "17 +***42"),
        ("%2B1%20555%20123%200042", "%2B***42"),
        # what is none
        ("2026-11-22 09:00:00.123456", "2026-11-22 09:00:00.123456"),
        ("2026-11-22T09:00:00.123456Z and on", "2026-11-22T09:00:00.123456Z and on"),
        ("192.168.100.200:8000", "192.168.100.200:8000"),
        ("12345678-1234-1234-1234-123456789012", "12345678-1234-1234-1234-123456789012"),
        ("00000000000000000001-CA.refused", "00000000000000000001-CA.refused"),
        ("0.1234567890123", "0.1234567890123"),
        ("1234567890.5 s", "1234567890.5 s"),
        ("MZ12345678901234567890123456789012", "MZ12345678901234567890123456789012"),
        ("a1234567890b", "a1234567890b"),
        ("20 of 30, 40 left; HTTP 404", "20 of 30, 40 left; HTTP 404"),
        ("agents.py:117 in look_up", "agents.py:117 in look_up"),
        ("a client: it said no; http_client:30", "a client: it said no; http_client:30"),
    ],
)
def test_phone_numbers_and_nothing_else_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
