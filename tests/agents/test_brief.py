import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.brief import BRIEF_SCHEMA, Brief, BriefRefused, Turn, brief_prompt, local_extract, parse_brief

ENTRIES = {
    "summary": "John Smith from Seattle wants to plan his retirement.",
    "name": "John Smith",
    "location": "Seattle",
    "need": "retirement planning",
    "timeline": "retire by sixty",
    "preferences": "",
    "engagement": "interested",
    "next_step": "talk to the advisor now",
}
WHOLE = Brief(recent=(), **ENTRIES)
CALL = [
    Turn("qualifier", "You asked us to call, is now a good time?"),
    Turn("caller", "Sure, I have a few minutes."),
    Turn("qualifier", "Thanks. Who am I speaking with?"),
    Turn("caller", "John Smith."),
    Turn("qualifier", "And where are you based?"),
    Turn("caller", "I'm in Seattle."),
    Turn("qualifier", "What were you hoping to get help with?"),
    Turn("caller", "Mostly retirement planning. I'd like to retire by sixty."),
    Turn("qualifier", "Our advisor could talk to you right now. Would you like that?"),
    Turn("caller", "Yes please."),
]


def reply(**changes: object) -> str:
    return orjson.dumps({**ENTRIES, **changes}).decode()


def test_a_reply_in_the_form_asked_for_becomes_a_brief() -> None:
    assert parse_brief(reply()) == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{reply()}\n```",
        f"Here is the note:\n{reply()}\nI hope it helps.",
        reply(confidence=0.9, recent=["x"]),
    ],
    ids=["fenced", "with words around it", "with unknown keys"],
)
def test_habits_of_language_models_are_forgiven(text: str) -> None:
    assert parse_brief(text) == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "{}",
        "[]",
        "}{",
        "{'summary': 'x'}",
        '{"summary": "   "}',
        '{"summary": "Not mentioned."}',
        reply(summary=None),
        reply(name={"first": "John"}),
        reply(need=[1, 2]),
        reply(engagement=True),
        orjson.dumps(dict(BRIEF_SCHEMA)).decode(),
        '{"summary": "\ud800"}',
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BriefRefused):
        parse_brief(text)


@pytest.mark.parametrize("absent", ["unknown", "N/A", "Not mentioned.", "none", "not specified", None, " "])
def test_what_was_not_said_is_empty(absent: str | None) -> None:
    assert parse_brief(reply(location=absent)).location == ""


def test_lists_and_numbers_are_read_as_words() -> None:
    brief = parse_brief(reply(preferences=["mornings", "by phone"], timeline=60))

    assert (brief.preferences, brief.timeline) == ("mornings, by phone", "60")


def test_entries_are_bounded() -> None:
    brief = parse_brief(reply(summary="word " * 1000, name="John " * 100))

    assert (len(brief.summary), len(brief.name)) == (700, 80)


@given(
    st.text(st.characters(exclude_categories=[]))
    | st.dictionaries(st.sampled_from([*ENTRIES]), st.none() | st.text() | st.integers(0)).map(str)
)
def test_only_a_refusal_escapes_from_parsing(text: str) -> None:
    try:
        brief = parse_brief(text)
    except BriefRefused:
        return
    assert brief.summary


def test_the_request_asks_for_json_by_the_schema() -> None:
    system, _ = brief_prompt("advisor", CALL, {})

    assert system["role"] == "system"
    assert orjson.dumps(BRIEF_SCHEMA).decode() in system["content"]
    assert "one JSON object and nothing else" in system["content"]
    assert "Reader: the advisor." in system["content"]


def test_the_request_dwells_on_what_the_reader_needs() -> None:
    system, _ = brief_prompt("closer", CALL, {}, focus="what was agreed.")

    assert "What this reader needs: what was agreed." in system["content"]


def test_the_request_holds_the_transcript_and_the_recorded_facts() -> None:
    _, user = brief_prompt("advisor", CALL, {"rating": "5 out of 5", "feedback": ""})

    assert user["role"] == "user"
    assert '- rating: "5 out of 5"' in user["content"]
    assert "feedback" not in user["content"]
    assert '- customer: "I\'m in Seattle."' in user["content"]
    assert '- qualifier (colleague): "And where are you based?"' in user["content"]


def test_a_request_about_nothing_says_so() -> None:
    _, user = brief_prompt("advisor", [], {})

    assert user["content"] == "Recorded by functions:\n- nothing\n\nTranscript:\n- nothing was said"


def test_a_very_long_call_loses_its_beginning_from_the_request_first() -> None:
    turns = [Turn("caller", f"{number} " + "word " * 70) for number in range(200)]

    _, user = brief_prompt("advisor", turns, {})

    assert "199 word" in user["content"]
    assert '\n- customer: "0 word' not in user["content"]
    assert len(user["content"]) < 17_000


def test_the_schema_asks_for_every_entry_and_nothing_else() -> None:
    assert BRIEF_SCHEMA["required"] == list(ENTRIES)
    assert BRIEF_SCHEMA["additionalProperties"] is False


def test_the_local_extract_needs_no_language_model() -> None:
    brief = local_extract(CALL, {"handoff_reason": "wants to plan his retirement", "handoff_notes": "in good spirits"})

    assert brief == Brief(
        summary=(
            "John Smith in Seattle wants to talk about retirement planning. "
            "Passed on because: wants to plan his retirement. Recorded: handoff notes: in good spirits."
        ),
        name="John Smith",
        location="Seattle",
        need="retirement planning",
        timeline="retire by sixty",
        recent=tuple(CALL[-6:]),
    )


def test_what_functions_recorded_overrules_what_was_heard() -> None:
    brief = local_extract(CALL, {"name": "Jon Smith", "next_step": "call on Wednesday", "summary": "A lead."})

    assert (brief.name, brief.next_step, brief.summary) == ("Jon Smith", "call on Wednesday", "A lead.")


def test_an_extract_of_nothing_is_empty() -> None:
    assert local_extract([], {}) == Brief()


def test_an_extract_without_a_name_speaks_of_the_customer() -> None:
    brief = local_extract([Turn("caller", "I'm in Seattle.")], {})

    assert brief.summary == "The customer in Seattle."


def test_recorded_facts_can_complete_a_brief_that_was_written() -> None:
    assert Brief(name="Jon").with_facts({"name": "John", "rating": "5", "need": ""}) == Brief(name="John")


def test_a_brief_is_written_as_one_quoted_line_an_entry() -> None:
    brief = Brief(name="John Smith", need="retirement planning").with_recent(
        [Turn("caller", "Yes."), Turn("caller", " ")]
    )

    assert brief.as_text() == (
        '<brief>\n- Name: "John Smith"\n- Need: "retirement planning"\n'
        'Last things said, word for word:\n- customer: "Yes."\n</brief>'
    )


def test_an_empty_brief_says_that_nothing_is_known() -> None:
    assert Brief().as_text() == "<brief>\n- Nothing is known yet.\n</brief>"
