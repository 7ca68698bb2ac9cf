"""TwiML as Twilio reads it."""

import pytest

from simulators.twilio.twiml import (
    Connect,
    Dial,
    Gather,
    Hangup,
    IgnoredVerb,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    StreamNoun,
    TwimlError,
    parse_twiml,
)

BASE = "https://agent.example.com/twilio/voice"


def response(body: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>'


def test_a_stream_is_read_with_its_parameters_and_action() -> None:
    document = response(
        '<Connect action="/twilio/after"><Stream url="wss://a.example/twilio" name="n" statusCallback="/twilio/stream">'
        '<Parameter name="token" value="abc"/><Parameter name="who" value="Zoë &quot;Q&quot; &lt;&amp;&gt;"/>'
        "</Stream></Connect><Hangup/>"
    )

    verbs = parse_twiml(document, BASE)

    noun = StreamNoun(
        url="wss://a.example/twilio",
        parameters={"token": "abc", "who": 'Zoë "Q" <&>'},
        name="n",
        status_callback="https://agent.example.com/twilio/stream",
    )
    assert verbs == (Connect(noun, "https://agent.example.com/twilio/after"), Hangup())


def test_a_relative_stream_url_takes_the_host_of_its_document() -> None:
    (verb,) = parse_twiml(response('<Connect><Stream url="/twilio"/></Connect>'), BASE)

    assert isinstance(verb, Connect)
    assert verb.stream.url == "wss://agent.example.com/twilio"


@pytest.mark.parametrize(
    ("body", "verb"),
    [
        ("<Say voice='alice'>Hello <break/>there</Say>", Say("Hello there")),
        ("<Play>/a.mp3</Play>", Play("https://agent.example.com/a.mp3")),
        ("<Play digits='ww1'/>", Play("", "ww1")),
        ("<Pause length='2'/>", Pause(2.0)),
        ("<Pause/>", Pause(1.0)),
        ("<Dial>+15550001111</Dial>", Dial("+15550001111")),
        (
            "<Dial timeout='5' action='/after-dial'><Number>+15550001111</Number></Dial>",
            Dial("+15550001111", "https://agent.example.com/after-dial", 5.0),
        ),
        ("<Redirect>/next</Redirect>", Redirect("https://agent.example.com/next")),
        ("<Reject reason='busy'/>", Reject("busy")),
        (
            "<Dial callerId='+15550009999'><Number url='/whisper?call=1'>+15550001111</Number></Dial>",
            Dial("+15550001111", whisper="https://agent.example.com/whisper?call=1", caller_id="+15550009999"),
        ),
        (
            "<Gather action='/accepted' numDigits='1' timeout='8'><Say>Press one.</Say></Gather>",
            Gather("https://agent.example.com/accepted", 1, 8.0, (Say("Press one."),)),
        ),
        ("<Connect><ConversationRelay url='wss://x'/></Connect>", IgnoredVerb("Connect with ConversationRelay")),
        ("<Connect/>", IgnoredVerb("Connect with nothing")),
        ("<Gather><Say>One.</Say><Gather><Gather/></Gather></Gather>", Gather(verbs=(Say("One."),))),
    ],
)
def test_each_verb_is_read(body: str, verb: object) -> None:
    assert parse_twiml(response(body), BASE) == (verb,)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("", 12100),
        ("   ", 12100),
        (" <?xml version='1.0'?><Response/>", 12100),
        ("\n<?xml version='1.0'?>\n<Response/>", 12100),
        ("\ufeff\n<?xml version='1.0'?><Response/>", 12100),
        ("OK <Response/>", 12100),
        ("<Response/><Response/>", 12100),
        ("<Response>", 12100),
        ("<html/>", 12100),
        (response('<Connect><Stream url="wss://a" track="both_tracks"/></Connect>'), 31941),
        (response("<Connect><Stream/></Connect>"), 31923),
        (response('<Connect><Stream url="wss://[agent"/></Connect>'), 31923),
        (response("<Redirect>https://[agent/</Redirect>"), 11100),
        (response('<Connect action="//["><Stream url="wss://a"/></Connect>'), 11100),
        *((response(f'<Pause length="{length}"/>'), 12200) for length in ("soon", "", "nan", "inf", "-1", "1e9", "²")),
        (response('<Dial timeout="inf">+15550001111</Dial>'), 12200),
        (response("<Dial/>"), 13223),
        (
            response(f'<Connect><Stream url="wss://a"><Parameter name="n" value="{"x" * 499}"/></Stream></Connect>'),
            12200,
        ),
    ],
)
def test_what_twilio_refuses_is_refused_with_its_code(document: str, code: int) -> None:
    with pytest.raises(TwimlError) as refused:
        parse_twiml(document, BASE)

    assert refused.value.code == code


@pytest.mark.parametrize(
    "document",
    [
        "\n        <Response>\n            <Say>Zoë</Say></Response>\n",
        "\t<Response><Say>Zoë</Say></Response>",
        "<!-- made by hand --> <Response><Say>Zoë</Say></Response>",
        "<?xml version='1.0' encoding='ISO-8859-1'?>\n<Response><Say>Zoë</Say></Response>",
        "\ufeff<?xml version='1.0' encoding='UTF-8'?><Response><Say>Zoë</Say></Response>",
    ],
)
def test_what_may_stand_before_the_root_element_is_no_matter(document: str) -> None:
    assert parse_twiml(document) == (Say("Zoë"),)


def test_an_empty_response_has_no_verbs() -> None:
    assert parse_twiml("<Response/>") == ()
