"""The simulated Groq: honest notes from a transcript, real shapes, real refusals, faults; under a virtual clock."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import attrs
import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from agents.brief import brief_prompt, parse_brief
from agents.extras import extraction_messages, read_extraction
from agents.kinds import Between
from agents.quoting import CALLER, SpokenTurn
from simulators.extraction import extract, read_lines
from simulators.faults import parse_fault
from simulators.groq import MODELS, GroqSimulator

TRANSCRIPT = """\
Recorded by functions:
- handoff_reason: "agreed to speak with an advisor"

Transcript:
- qualifier (colleague): "Hello, this is Alex from Acme. Is now a good time to talk?"
- customer: "Sure, I have a few minutes."
- qualifier (colleague): "Great, thanks. May I have your name?"
- customer: "John Smith."
- qualifier (colleague): "And where are you calling from, John?"
- customer: "I'm in Seattle."
- qualifier (colleague): "What can we help you with?"
- customer: "Retirement planning, mostly. I'm forty five and want to retire by sixty."
- qualifier (colleague): "Would you like to speak with an advisor now?"
- customer: "Yes please."
"""
SCHEMA = {"type": "object", "properties": {name: {"type": "string"} for name in ("summary", "name", "shoe_size")}}


@attrs.frozen
class Inside:
    how: Annotated[Literal["loud", "soft"], "How they spoke"]


@attrs.frozen
class Form:
    mood: Annotated[Literal["happy", "angry"], "How the customer sounded"]
    rating: Annotated[int, "From 2 to 5", Between(2, 5)]
    calm: Annotated[bool, "Whether they were calm"]
    inside: Annotated[Inside, "More"]
    later: Annotated[Literal["yes", "no"], "Whether to call later"] = "no"


INSTRUCTIONS = f"Answer with one JSON object.\n{orjson.dumps(SCHEMA).decode()}\n\nRules: none."


def chat(
    prompt: str = TRANSCRIPT, *, system: str = "", model: str = "openai/gpt-oss-120b", **extra: object
) -> dict[str, object]:
    messages = [{"role": "system", "content": system}] if system else []
    return {"model": model, "messages": [*messages, {"role": "user", "content": prompt}], **extra}


async def ask(
    simulator: GroqSimulator, body: object, *, key: str = "gsk_test", path: str = "/openai/v1/chat/completions"
) -> httpx.Response:
    transport = httpx.ASGITransport(simulator)
    async with httpx.AsyncClient(transport=transport, base_url="http://groq.invalid", timeout=600) as client:
        return await client.post(path, json=body, headers={"Authorization": f"Bearer {key}"} if key else {})


def content(response: httpx.Response) -> str:
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def faulty(*lines: str) -> GroqSimulator:
    return GroqSimulator([parse_fault(f"groq: {line}") for line in lines])


def test_the_note_says_what_the_transcript_says() -> None:
    note = extract(TRANSCRIPT)

    assert note["name"] == "John Smith"
    assert note["location"] == "Seattle"
    assert note["need"].casefold() == "retirement planning"
    assert note["timeline"] == "retire by sixty"
    assert note["next_step"] == "agreed to: advisor"
    assert note["engagement"] == "agreeable"
    assert "John Smith from Seattle wants to talk about Retirement planning" in note["summary"]
    assert "handoff reason: agreed to speak with an advisor" in note["summary"]


@pytest.mark.parametrize(
    ("gone", "entry"),
    [("John Smith", "name"), ("Seattle", "location"), ("Retirement planning, mostly. ", "need"), ("sixty", "timeline")],
)
def test_what_was_not_heard_is_not_in_the_note(gone: str, entry: str) -> None:
    assert extract(TRANSCRIPT.replace(gone, ""))[entry] == ""


def test_nothing_said_leaves_every_entry_empty() -> None:
    note = extract("Transcript:\n- nothing was said")

    assert {name: value for name, value in note.items() if value} == {"summary": "The customer is on the phone."}


def test_a_recorded_fact_beats_what_was_understood() -> None:
    note = extract(TRANSCRIPT.replace("- handoff_reason:", '- name: "Jon Smyth"\n- handoff_reason:'))

    assert note["name"] == "Jon Smyth"


def test_the_last_correction_counts() -> None:
    note = extract(TRANSCRIPT + '- customer: "Actually, my name is Jack Smith."\n')

    assert note["name"] == "Jack Smith"


def test_a_refusal_and_a_wish_are_noted() -> None:
    note = extract("caller: I'm too busy now.\nagent: May we call you tomorrow?\ncaller: I prefer an email.")

    assert note["engagement"] == "not interested now"
    assert note["preferences"] == "I prefer an email."


@pytest.mark.parametrize("speaker", ["caller", "customer", "User", "- customer", "* Client"])
def test_a_customer_is_recognised_by_any_usual_label(speaker: str) -> None:
    (line,), _ = read_lines(f"{speaker}: hello there")

    assert line.customer


async def test_an_answer_has_the_shape_of_a_chat_completion(autojump_clock: MockClock) -> None:
    simulator = GroqSimulator()

    response = await ask(simulator, chat())

    body = response.json()
    assert (response.status_code, body["object"], body["model"]) == (200, "chat.completion", "openai/gpt-oss-120b")
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert trio.current_time() == pytest.approx(0.3)
    assert simulator.requests[0].prompt == TRANSCRIPT


async def test_it_writes_the_brief_that_the_summarizer_asks_for(autojump_clock: MockClock) -> None:
    turns = (
        SpokenTurn("qualifier", "May I have your name?"),
        SpokenTurn("caller", "It's John Smith."),
        SpokenTurn("qualifier", "Where are you calling from?"),
        SpokenTurn("caller", "Seattle."),
        SpokenTurn("qualifier", "What can we help you with?"),
        SpokenTurn("caller", "Retirement planning."),
    )
    messages = brief_prompt("advisor", turns, {"handoff_reason": "agreed"})

    response = await ask(
        GroqSimulator(), {"model": MODELS[1], "messages": messages, "response_format": {"type": "json_object"}}
    )

    brief = parse_brief(content(response))
    assert (brief.name, brief.location, brief.need) == ("John Smith", "Seattle", "Retirement planning")
    assert brief.timeline == ""


async def test_without_a_format_it_answers_in_plain_words(autojump_clock: MockClock) -> None:
    assert content(await ask(GroqSimulator(), chat())).startswith("John Smith from Seattle")


async def test_json_object_takes_its_keys_from_the_schema_in_the_prompt(autojump_clock: MockClock) -> None:
    response = await ask(GroqSimulator(), chat(system=INSTRUCTIONS, response_format={"type": "json_object"}))

    note = orjson.loads(content(response))
    assert list(note) == ["summary", "name", "shoe_size"]
    assert (note["name"], note["shoe_size"]) == ("John Smith", "")


async def test_json_schema_is_honoured_by_models_that_support_it(autojump_clock: MockClock) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "brief", "schema": SCHEMA}}

    response = await ask(GroqSimulator(), chat(model="openai/gpt-oss-20b", response_format=wanted))

    assert list(orjson.loads(content(response))) == ["summary", "name", "shoe_size"]


async def test_json_schema_is_refused_by_models_that_do_not(autojump_clock: MockClock) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "brief", "schema": SCHEMA}}

    model = "openai/gpt-oss-safeguard-20b"
    strict = await ask(GroqSimulator(), chat(model=model, response_format=wanted))

    assert strict.status_code == 400
    assert "does not support response format `json_schema`" in strict.json()["error"]["message"]


async def test_json_mode_wants_the_word_json_in_the_prompt(autojump_clock: MockClock) -> None:
    refused = await ask(GroqSimulator(), chat(response_format={"type": "json_object"}))
    written = await ask(GroqSimulator(), chat(system="Use JSON.", response_format={"type": "json_object"}))

    assert refused.status_code == 400
    assert set(orjson.loads(content(written))) >= {"summary", "name", "next_step"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": "x"},
        {"model": MODELS[0], "messages": []},
        {"model": MODELS[0], "messages": [{"role": "boss"}]},
        [],
    ],
)
async def test_a_malformed_request_is_400(body: object, autojump_clock: MockClock) -> None:
    response = await ask(GroqSimulator(), body)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_streaming_is_refused_and_not_ignored(autojump_clock: MockClock) -> None:
    assert (await ask(GroqSimulator(), chat(stream=True))).status_code == 400


async def test_an_unknown_model_is_404(autojump_clock: MockClock) -> None:
    response = await ask(GroqSimulator(), chat(model="gpt-4o"))

    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_form_is_filled_in_as_its_schema_wants_it(autojump_clock: MockClock) -> None:
    """Of what must be there and nobody spoke of, the least that can be: no refusal of it is the roster's fault."""
    messages = extraction_messages(Form, [SpokenTurn(CALLER, "I am angry.")], {})

    answer = await ask(GroqSimulator(), {"model": MODELS[0], "messages": messages})

    read = read_extraction(Form, content(answer))
    assert (read["mood"], read["rating"], read["calm"], read["inside"]) == ("angry", 2, False, {"how": "loud"})
    assert "later" not in content(answer)


@pytest.mark.parametrize("model", MODELS)
async def test_a_model_that_is_retired_is_neither_listed_nor_there(model: str, autojump_clock: MockClock) -> None:
    simulator = GroqSimulator(retired=[model])

    refused = await ask(simulator, chat(model=model))

    assert model not in simulator.available
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        ("model_not_found", 404, "does not exist or you do not have access to it"),
        ("model_decommissioned", 400, "has been decommissioned and is no longer supported"),
        ("json_validate_failed", 400, "Failed to generate JSON"),
    ],
)
async def test_a_model_is_refused_as_users_report_it(
    fault: str, status: int, says: str, autojump_clock: MockClock
) -> None:
    refused = await ask(faulty(fault), chat())

    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["type"]) == (status, fault, "invalid_request_error")
    assert says in error["message"]


@pytest.mark.parametrize(
    ("effort", "budget", "status"),
    [("low", 1500, 200), ("low", 300, 400), (None, 1000, 400), (None, None, 200), ("high", 1500, 400)],
)
async def test_a_model_that_reasons_needs_a_budget(
    effort: str | None, budget: int | None, status: int, autojump_clock: MockClock
) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "brief", "schema": SCHEMA}}
    options: dict[str, Any] = {"reasoning_effort": effort, "max_completion_tokens": budget}

    told = await ask(GroqSimulator(), chat(response_format=wanted, **options))
    plain = await ask(GroqSimulator(), chat(**options))

    assert told.status_code == status
    assert (plain.json()["choices"][0]["finish_reason"] == "length") is (status == 400)


@pytest.mark.parametrize(("mine", "theirs"), [(None, ""), ("gsk_right", "gsk_wrong")])
async def test_a_missing_or_wrong_key_is_401(mine: str | None, theirs: str, autojump_clock: MockClock) -> None:
    response = await ask(GroqSimulator(api_key=mine), chat(), key=theirs)

    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_an_unknown_path_is_404(autojump_clock: MockClock) -> None:
    assert (await ask(GroqSimulator(), {}, path="/v1/chat")).status_code == 404


async def test_models_are_listed(autojump_clock: MockClock) -> None:
    transport = httpx.ASGITransport(GroqSimulator())
    async with httpx.AsyncClient(transport=transport, base_url="http://groq.invalid") as client:
        response = await client.get("/openai/v1/models", headers={"Authorization": "Bearer k"})

    assert [model["id"] for model in response.json()["data"]] == list(MODELS)


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("500", 500)])
async def test_a_fault_is_answered_with_its_status(fault: str, status: int, autojump_clock: MockClock) -> None:
    response = await ask(faulty(fault), chat())

    assert response.status_code == status
    assert "message" in response.json()["error"]
    assert response.headers.get("retry-after") == ("2" if status == 429 else None)


async def test_garbage_is_not_json(autojump_clock: MockClock) -> None:
    response = await ask(faulty("garbage"), chat())

    assert response.status_code == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(response.content)


async def test_a_slow_answer_comes_late(autojump_clock: MockClock) -> None:
    await ask(faulty("slow 4 s"), chat())

    assert trio.current_time() == pytest.approx(4.3)


async def test_a_hang_lasts_until_the_client_gives_up(autojump_clock: MockClock) -> None:
    with trio.move_on_after(100.0) as patience:
        await ask(faulty("hang"), chat())

    assert patience.cancelled_caught


async def test_a_refused_connection_is_an_error_of_the_connection(autojump_clock: MockClock) -> None:
    with pytest.raises(httpx.ConnectError):
        await ask(faulty("refused"), chat())


async def test_a_fault_of_one_request_leaves_the_next_alone(autojump_clock: MockClock) -> None:
    simulator = faulty("500 on request 2 times 1")

    statuses: Sequence[int] = [(await ask(simulator, chat())).status_code for _ in range(3)]

    assert statuses == [200, 500, 200]
