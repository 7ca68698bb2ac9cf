"""What Twilio signed is let in, and nothing else: the table of recorded and computed cases, twice."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import orjson
import pytest
from quart import Response
from quart_trio import QuartTrio
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from store.calls import MemoryRecords
from tests.web.fakes import AUTH_TOKEN, ORIGIN, FakeLine, client_of, services, settings
from web.calls.context import Opened, build_context
from web.calls.slots import Slots
from web.clients.signatures import SIGNATURE, TwilioSignatures, is_signed
from web.routes.twilio import TwilioRoutes

VECTORS = Path(__file__).parents[1] / "vectors" / "twilio-signatures.jsonl"


@attrs.frozen
class Case:
    """One request, who signed it, and whether it is Twilio's."""

    name: str
    method: str
    url: str
    params: object
    body: str | None
    auth_token: str
    signature: str | None
    valid: bool
    headers: Mapping[str, str]

    @property
    def form(self) -> MultiDict[str, str] | None:
        if self.params is None:
            return None
        return MultiDict([tuple(pair) for pair in self.params] if isinstance(self.params, list) else self.params)  # type: ignore[arg-type]

    @property
    def signed_headers(self) -> dict[str, str]:
        named = {name.lower(): value for name, value in self.headers.items()}
        return named if self.signature is None else {**named, "x-twilio-signature": self.signature}


def _case(line: str) -> Case:
    read = orjson.loads(line)
    names = [field.name for field in attrs.fields(Case)]
    return Case(**{**{name: read[name] for name in names}, "headers": read["headers"] or {}})


CASES = [_case(line) for line in VECTORS.read_text().splitlines()]
ON_THE_WIRE = [case for case in CASES if " " not in case.url and case.url.startswith("http") and case.method == "POST"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_gets_its_verdict(case: Case) -> None:
    content = (case.body or "").encode() if case.form is None else case.form

    verdict = is_signed(case.auth_token, case.url, case.signed_headers, content)

    assert verdict is case.valid


@pytest.mark.parametrize("case", ON_THE_WIRE, ids=lambda case: case.name)
async def test_every_case_gets_its_verdict_over_http(case: Case) -> None:
    url = urlsplit(case.url)
    app = app_behind(TwilioSignatures(f"{url.scheme}://{url.netloc}", case.auth_token))
    async with client_of(app) as client:
        if case.body is not None:
            sent = {"content": case.body.encode(), "headers": {"content-type": "application/json"}}
        else:
            form = case.form or MultiDict()
            sent = {"data": {name: form.getlist(name) for name in form}, "headers": {}}
        sent["headers"].update(case.signed_headers)  # type: ignore[attr-defined]
        answer = await client.post(f"{url.path}?{url.query}" if url.query else url.path, **sent)  # type: ignore[arg-type]

    assert answer.status_code == (200 if case.valid else 403)


def app_behind(signatures: TwilioSignatures) -> QuartTrio:
    """An application that says yes to whatever gets past the check."""
    line = FakeLine()
    opened = Opened(services(line, MemoryRecords()), line, Slots(50))
    context = attrs.evolve(build_context(settings(), opened), signatures=signatures)
    app = QuartTrio("signed")
    app.before_request(TwilioRoutes(context).refuse_unsigned)

    async def yes(path: str) -> Response:
        return Response(path)

    app.add_url_rule("/<path:path>", "yes", yes, methods=["GET", "POST"])
    return app


def sign(address: str) -> str:
    signature: str = RequestValidator(AUTH_TOKEN).compute_signature(address, {})
    return signature


@pytest.mark.parametrize("spelling", ["wss://agent.example.com/twilio", "wss://agent.example.com:443/twilio"])
def test_an_upgrade_signed_with_or_without_its_default_port_is_let_in(spelling: str) -> None:
    signatures = TwilioSignatures(ORIGIN, AUTH_TOKEN)

    assert signatures.accepts_upgrade("/twilio", {"x-twilio-signature": sign(spelling)})


@pytest.mark.parametrize("ours", ["agent.example.com", "Agent.Example.com"])
@pytest.mark.parametrize("written", ["agent.example.com", "AGENT.example.com", "Agent.Example.Com"])
def test_capitals_in_the_host_that_twilio_was_given_are_no_difference(ours: str, written: str) -> None:
    headers = {"x-twilio-signature": sign(f"https://{written}/voice"), "host": written}

    assert TwilioSignatures(f"https://{ours}", AUTH_TOKEN).accepts_webhook("/voice", headers)


def test_a_host_header_lets_no_other_host_in() -> None:
    headers = {"x-twilio-signature": sign("https://other.example.com/voice"), "host": "other.example.com"}

    assert not TwilioSignatures(ORIGIN, AUTH_TOKEN).accepts_webhook("/voice", headers)


def test_an_origin_with_its_default_port_written_out_accepts_a_signature_without_it() -> None:
    signatures = TwilioSignatures(ORIGIN + ":443", AUTH_TOKEN)

    assert signatures.accepts_upgrade("/twilio", {"x-twilio-signature": sign("wss://agent.example.com/twilio")})


@pytest.mark.parametrize(
    "spelling",
    [
        "ws://agent.example.com/twilio",
        "https://agent.example.com/twilio",
        "wss://agent.example.com/twilio/",
        "wss://agent.example.com:8443/twilio",
        "wss://other.example.com/twilio",
    ],
)
def test_an_upgrade_signed_for_another_address_is_refused(spelling: str) -> None:
    signatures = TwilioSignatures(ORIGIN, AUTH_TOKEN)

    assert not signatures.accepts_upgrade("/twilio", {"x-twilio-signature": sign(spelling)})


def test_a_fragment_is_not_part_of_what_was_signed() -> None:
    headers = {"x-twilio-signature": sign("https://agent.example.com/voice")}

    assert is_signed(AUTH_TOKEN, "https://agent.example.com/voice#rc=2", headers)


def test_an_address_in_brackets_keeps_its_colons() -> None:
    headers = {"x-twilio-signature": sign("https://[2001:db8::1]/voice")}

    assert is_signed(AUTH_TOKEN, "https://[2001:db8::1]:443/voice", headers)


@pytest.mark.parametrize("signature", ["", "no", "ü", "\u2603"])
def test_a_signature_that_is_none_is_refused_quietly(signature: str) -> None:
    assert not is_signed(AUTH_TOKEN, "https://agent.example.com/voice", {"x-twilio-signature": signature})


def test_an_unreadable_address_is_refused_quietly() -> None:
    assert not is_signed(AUTH_TOKEN, "https://agent.example.com:port/voice", {"x-twilio-signature": "x"})


def test_while_the_auth_token_is_changed_either_may_have_signed() -> None:
    signatures = TwilioSignatures(ORIGIN, f"the-new-one,{AUTH_TOKEN}")
    url, upgrade = f"{ORIGIN}/twilio/voice", "wss://agent.example.com/twilio"
    allowed = []
    for token in ("the-new-one", AUTH_TOKEN, "", ",", f"the-new-one,{AUTH_TOKEN}"):
        signer = RequestValidator(token)
        webhook = signatures.accepts_webhook("/twilio/voice", {SIGNATURE: signer.compute_signature(url, {})})
        socket = signatures.accepts_upgrade("/twilio", {SIGNATURE: signer.compute_signature(upgrade, {})})
        allowed.append((webhook, socket))

    assert allowed == [(True, True), (True, True), (False, False), (False, False), (False, False)]


def test_the_auth_token_is_not_in_the_repr() -> None:
    assert AUTH_TOKEN not in repr(TwilioSignatures(ORIGIN, AUTH_TOKEN))


@pytest.mark.parametrize(
    ("signed", "headers", "origin"),
    [
        ("https://new.tunnel.app", {"host": "new.tunnel.app"}, "https://new.tunnel.app"),
        ("https://new.tunnel.app", {"host": "10.0.0.7", "x-forwarded-host": "new.tunnel.app, proxy"}, "https://new"),
        ("http://agent.example.com", {"host": "10.0.0.7:8000"}, "http://agent.example.com"),
        ("http://agent.example.com", {}, "http://agent.example.com"),
    ],
)
def test_a_signature_for_another_origin_is_refused_and_says_which(
    signed: str, headers: dict[str, str], origin: str
) -> None:
    signatures = TwilioSignatures(ORIGIN, f"another,{AUTH_TOKEN}")
    form = MultiDict({"CallSid": "CA1"})
    given = {**headers, "x-twilio-signature": RequestValidator(AUTH_TOKEN).compute_signature(f"{signed}/voice", form)}
    refusal = signatures.refusal("/voice", given, form)

    assert not signatures.accepts_webhook("/voice", given, form)
    assert f"for {origin}" in refusal["why"]
    assert "LEAD_SERVER_EXTERNAL_URL" in refusal["why"]


def test_an_upgrade_for_another_origin_says_which() -> None:
    given = {"x-twilio-signature": sign("wss://new.tunnel.app/twilio"), "host": "new.tunnel.app"}

    assert (
        "for wss://new.tunnel.app,"
        in TwilioSignatures(ORIGIN, AUTH_TOKEN).refusal("/twilio", given, socket=True)["why"]
    )


def test_a_signature_of_nobody_names_the_token_and_one_that_is_missing_nothing() -> None:
    signatures, nobody = TwilioSignatures(ORIGIN, AUTH_TOKEN), {"x-twilio-signature": "x", "host": "evil.example"}
    refusals = [signatures.refusal("/voice", given, MultiDict()) for given in (nobody, {"host": "evil.example"})]

    assert ["TWILIO_AUTH_TOKEN" in refusal.get("fix", "") for refusal in refusals] == [True, False]
    assert "evil" not in str(refusals)
