import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Optional, cast

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.arguments import ArgumentsRefused, SchemaRefused, schema_of
from agents.functions import (
    EndArguments,
    FollowupArguments,
    HandoffArguments,
    SatisfactionArguments,
)
from agents.kinds import Between
from tests.agents.strictly import read_strictly
from tests.examples import UNICODE


@attrs.frozen
class Everything:
    name: Annotated[str, "Who"]
    count: Annotated[int, "How many", Between(0, 10)] = 0
    share: Annotated[float, "What part", Between(0, 1)] = 0.5
    sure: Annotated[bool, "Whether they are sure"] = False
    colour: Annotated[Literal["red", "green"], "Which"] = "red"
    days: Annotated[tuple[str, ...], "Which days"] = ()
    notes: str | None = None
    ratio: float = 1.0
    year: int = 0
    secret: int = attrs.field(default=7, init=False)


@attrs.frozen
class Lowered:
    tags: tuple[str, ...]
    amount: int = attrs.field(default=1, validator=attrs.validators.lt(100))


def problems(arguments: type, **sent: object) -> tuple[str, ...]:
    with pytest.raises(ArgumentsRefused) as refused:
        read_strictly(arguments, orjson.dumps(sent).decode())
    return refused.value.problems


def read(**sent: object) -> Everything:
    return read_strictly(Everything, orjson.dumps({"name": "Ann", **sent}).decode())


def test_a_class_becomes_the_schema_that_the_model_sees() -> None:
    assert schema_of(SatisfactionArguments) == {
        "type": "object",
        "properties": {
            "rating": {
                "type": "integer",
                "minimum": 1,
                "maximum": 5,
                "description": "The rating the customer gave, from one to five. Never guess or convert it",
            },
            "feedback": {
                "type": "string",
                "description": "What the customer added, in their own words; leave out if nothing",
            },
        },
        "required": ["rating"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ("share", {"type": "number", "minimum": 0, "maximum": 1, "description": "What part"}),
        ("sure", {"type": "boolean", "description": "Whether they are sure"}),
        ("colour", {"type": "string", "enum": ["red", "green"], "description": "Which"}),
        ("days", {"type": "array", "items": {"type": "string"}, "description": "Which days"}),
        ("notes", {"type": "string", "description": ""}),
        ("year", {"type": "integer", "description": ""}),
    ],
)
def test_every_kind_has_its_schema(field: str, schema: Mapping[str, object]) -> None:
    properties = schema_of(Everything)["properties"]

    assert isinstance(properties, Mapping)
    assert properties[field] == schema


def test_a_field_that_the_class_sets_itself_is_not_offered() -> None:
    assert "secret" not in orjson.dumps(schema_of(Everything)).decode()


class Portion(Enum):
    BIG = "Big"
    SMALL = "big"


@pytest.mark.parametrize(("sent", "size"), [("big", Portion.SMALL), ("Big", Portion.BIG), (" BIG ", Portion.BIG)])
def test_a_word_is_itself_before_it_is_another_of_the_same_letters(sent: str, size: Portion) -> None:
    arguments = attrs.make_class("Arguments", {"size": attrs.field(type=Portion)})

    assert read_strictly(arguments, orjson.dumps({"size": sent}).decode()).size is size


@pytest.mark.parametrize(
    ("sent", "field", "value"),
    [
        ({"count": 5}, "count", 5),
        ({"count": "5"}, "count", 5),
        ({"count": " 5.0 "}, "count", 5),
        ({"count": 5.0}, "count", 5),
        ({"share": "0.25"}, "share", 0.25),
        ({"share": 1}, "share", 1),
        ({"sure": True}, "sure", True),
        ({"sure": "False"}, "sure", False),
        ({"colour": " GREEN "}, "colour", "green"),
        ({"colour": ""}, "colour", "red"),
        ({"days": ["Monday", "Friday"]}, "days", ("Monday", "Friday")),
        ({"notes": None}, "notes", None),
        ({"notes": "  hello "}, "notes", "hello"),
        ({"ratio": 1e300}, "ratio", 1e300),
    ],
)
def test_what_is_exact_is_taken(sent: dict[str, object], field: str, value: object) -> None:
    assert getattr(read(**sent), field) == value


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (
            {"rating": "nine"},
            '`rating` must be a whole number from 1 to 5 written in digits, not "nine"; never guess it.',
        ),
        ({"rating": 9}, "`rating` must be a whole number from 1 to 5 written in digits, not 9; never guess it."),
        ({"rating": "9"}, '`rating` must be a whole number from 1 to 5 written in digits, not "9"; never guess it.'),
        ({"rating": 4.5}, "`rating` must be a whole number from 1 to 5 written in digits, not 4.5; never guess it."),
        ({"rating": True}, "`rating` must be a whole number from 1 to 5 written in digits, not true; never guess it."),
        (
            {"rating": [5]},
            "`rating` must be a whole number from 1 to 5 written in digits, not an array; never guess it.",
        ),
        (
            {"rating": 5, "feedback": {"text": "fine"}},
            "`feedback` must be text, not an object.",
        ),
        ({"rating": 5, "feedback": 3}, "`feedback` must be text, not 3."),
        (
            {},
            "`rating` is missing: The rating the customer gave, from one to five. Never guess or convert it.",
        ),
        ({"rating": 5, "stars": 5}, "`stars` is not an argument: send only `rating`, `feedback`."),
        ({"rating": 5, "feedback": "x" * 1001}, "`feedback` must be at most 1000 characters; send the short version."),
    ],
)
def test_a_refusal_names_the_field_and_the_way_out(sent: dict[str, object], problem: str) -> None:
    assert problems(SatisfactionArguments, **sent) == (problem,)


def test_a_refused_choice_lists_what_is_allowed() -> None:
    assert problems(EndArguments, reason="bored") == (
        '`reason` must be one of customer_goodbye, task_complete, customer_request, not_interested; not "bored".',
    )


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        Everything, count=11, sure="perhaps", days="Monday", ratio="much", colour=3, year="x" * 90, extra=1
    )

    assert [problem.split("`")[1] for problem in found] == [
        "extra", "name", "count", "sure", "colour", "days", "ratio", "year",
    ]  # fmt: skip
    assert f'not "{"x" * 56}...' in found[-1]


def test_a_required_text_must_say_something() -> None:
    assert problems(HandoffArguments, reason="  ") == ("`reason` must not be empty.",)
    assert problems(Lowered, tags=[]) == ("`tags` must not be empty.",)


def test_no_arguments_may_be_an_empty_string() -> None:
    @attrs.frozen
    class Nothing:
        pass

    assert read_strictly(Nothing, "") == Nothing()
    assert problems(Nothing, x=1) == ("`x` is not an argument: send only an empty object.",)


@pytest.mark.parametrize("text", ["", " ", "null", '""', '" "', '"null"', "{}", '"{}"'])
def test_no_arguments_may_be_written_in_many_ways(text: str) -> None:
    @attrs.frozen
    class Nothing:
        pass

    assert read_strictly(Nothing, text) == Nothing()


def test_an_object_may_be_written_as_the_text_of_a_string() -> None:
    assert read_strictly(SatisfactionArguments, orjson.dumps('{"rating": 4}').decode()).rating == 4


@pytest.mark.parametrize("text", ["[]", '"reason"', "3", '"[]"', '"3"', '"\\"{}\\""'])
def test_arguments_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(ArgumentsRefused, match="must be one JSON object"):
        read_strictly(FollowupArguments, text)


def test_of_arguments_that_the_codec_has_not_read_the_model_is_told_why() -> None:
    with pytest.raises(ArgumentsRefused, match='must be one JSON object, not "too long"'):
        read_strictly(FollowupArguments, '"too long"')


@pytest.mark.parametrize("text", ["{", "{'reason': 1}", "\ud800", "[" * 5000])
def test_arguments_that_are_no_json_are_refused(text: str) -> None:
    with pytest.raises(ArgumentsRefused, match="not JSON"):
        read_strictly(FollowupArguments, text)


def test_an_authors_own_validator_speaks_to_the_model_too() -> None:
    (problem,) = problems(Lowered, tags=["a"], amount=100)

    assert "'amount' must be < 100: 100" in problem


@attrs.frozen
class Validated:
    size: str = attrs.field(default="small", validator=attrs.validators.in_(("small", "large")))
    code: str = attrs.field(default="A1", validator=attrs.validators.matches_re("[A-Z][0-9]"))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"size": "huge"}, "'size' must be in ('small', 'large') (got 'huge')."),
        ({"code": "17"}, "'code' must match regex '[A-Z][0-9]' ('17' doesn't)."),
    ],
)
def test_a_validator_of_attrs_tells_the_model_its_sentence_and_no_more(sent: dict[str, str], told: str) -> None:
    assert problems(Validated, **sent) == (told,)


def test_a_refusal_says_all_of_its_problems() -> None:
    assert ArgumentsRefused("One sentence.").problems == ("One sentence.",)
    assert (
        str(ArgumentsRefused(["`rating` is missing.", "`day` is missing."])) == "`rating` is missing. `day` is missing."
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(UNICODE)
    | st.sampled_from(["5", "nine", "", "red", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(UNICODE, max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([each.name for each in attrs.fields(Everything)]) | st.text(UNICODE, max_size=5)
classes = st.sampled_from([Everything, EndArguments, FollowupArguments, HandoffArguments, SatisfactionArguments])


def as_json(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode() if encodable(value) else "{"


def encodable(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@given(classes, st.text(UNICODE) | st.dictionaries(names, json_values).map(as_json) | json_values.map(as_json))
def test_whatever_the_model_sends_only_a_refusal_escapes(arguments: type, text: str) -> None:
    result = attempt(arguments, text)

    if isinstance(result, ArgumentsRefused):
        assert all(result.problems)
    else:
        assert isinstance(result, arguments)


def attempt(arguments: type, text: str) -> object:
    try:
        value: object = read_strictly(arguments, text)
    except ArgumentsRefused as refused:
        return refused
    return value


@given(st.integers(1, 5), st.text(UNICODE, max_size=1000))
def test_what_fits_the_schema_is_read_back_as_it_was_sent(rating: int, feedback: str) -> None:
    text = orjson.dumps({"rating": rating, "feedback": feedback}).decode()

    assert read_strictly(SatisfactionArguments, text) == SatisfactionArguments(rating, feedback.strip())


@attrs.frozen
class WithMapping:
    table: dict[str, str]


@attrs.frozen
class WithLimitedText:
    name: Annotated[str, Between(1, 2)]


UNREADABLE = ("Nothing", "list[", "int[3]", "math.nothing")


@attrs.frozen
class WithUnknownName:
    when: "Tomorrow"  # type: ignore[name-defined]  # noqa: F821


@attrs.frozen
class WithNumberChoice:
    level: Literal[1, "high"]


class Plain:
    name: str


@attrs.frozen
class WithTwistedLimits:
    rating: Annotated[int, Between(5, 1)]


@attrs.frozen
class WithNoLimit:
    share: Annotated[float, Between(0, math.nan)]


@attrs.frozen
class WithEndlessLimit:
    share: Annotated[float, Between(0, math.inf)]


@attrs.frozen
class WithTheClassOfLimits:
    rating: Annotated[int, Between]


@attrs.frozen
class WithWordsForLimits:
    rating: Annotated[int, Between(cast("Any", "1"), cast("Any", "5"))]


@attrs.frozen
class WithAWordInTheList:
    codes: list[Annotated[str, "Each code"]]


@pytest.mark.parametrize(
    ("arguments", "field", "problem"),
    [
        (WithMapping, "table", "must be str, int"),
        (WithLimitedText, "name", "has limits but is not a number"),
        (WithUnknownName, "", "cannot be resolved"),
        *(
            (attrs.make_class("Odd", {"day": attrs.field(type=cast("Any", text))}), "", "cannot be resolved")
            for text in UNREADABLE
        ),
        (WithNumberChoice, "level", "a Literal of words or numbers"),
        (Plain, "", "Plain is not an attrs class: write @attrs.frozen over it"),
        (WithTwistedLimits, "rating", "has the limits 5 and 1: write two numbers, the smaller one first"),
        (WithNoLimit, "share", "has the limits 0 and nan: write two numbers"),
        (WithEndlessLimit, "share", "has the limits 0 and inf: write two numbers"),
        (WithWordsForLimits, "rating", "has the limits '1' and '5': write two numbers"),
        (WithTheClassOfLimits, "rating", "is marked with the class Between: write Between(…)"),
        (WithAWordInTheList, "codes", "has a description inside of the list: write it around the list"),
    ],
)
def test_a_class_without_a_schema_is_the_authors_error(arguments: type, field: str, problem: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        schema_of(arguments)

    assert refused.value.field == field
    assert problem in refused.value.problem
    assert str(refused.value).startswith(field)


class Size(Enum):
    SMALL = "small"


def with_default(annotation: object, default: object) -> type:
    return attrs.make_class("Order", {"size": attrs.field(type=cast("type", annotation), default=default)}, frozen=True)


@pytest.mark.parametrize(
    ("annotation", "default", "told"),
    [
        (int, "1", "its default is '1'; write a whole number, or no default"),
        (int, 1.0, "its default is 1.0; write a whole number"),
        (Annotated[int, "How many"], True, "its default is True; write a whole number"),
        (float, "1.5", "its default is '1.5'; write a number"),
        (bool, "no", "its default is 'no'; write True or False"),
        (str, 5, "its default is 5; write some text in quotes"),
        (str, None, "its default is None; write some text in quotes, or no default, or add | None to its type"),
        (list[str], None, "or add | None to its type"),
        (Literal["small", "large"], "smal", "its default is 'smal'; write 'small' or 'large'"),
        (Size, "small", "its default is 'small'; write Size(…)"),
        (date, "2027-03-24", "; write date(…), or no default"),
        (date, datetime(2027, 3, 24, tzinfo=UTC), "; write date(…), or no default"),
        (tuple[str, ...], "cheese", "its default is 'cheese'; write size=(…,)"),
        (tuple[str, ...], attrs.Factory(list), "its default is a list; write a tuple"),
        (tuple[int, ...], ("5",), "its default has '5' in it; write a whole number"),
        (list[str], ["cheese", 5], "its default has 5 in it; write some text in quotes"),
        (list[str], [], "has the default [], one list for all calls: write attrs.field(factory=list)"),
        (Lowered, attrs.Factory(dict), "its default is {}; write Lowered(…)"),
    ],
)
def test_a_default_of_another_type_is_the_authors_error(annotation: object, default: object, told: str) -> None:
    """It reaches the handler whenever the model leaves the argument out."""
    with pytest.raises(SchemaRefused, match="size: ") as refused:
        schema_of(with_default(annotation, default))

    assert told in refused.value.problem


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (str, ""),
        (float, 1),
        (Annotated[int, Between(1, 5)], 0),  # for: not said
        (Literal["small", "large"], ""),
        (Literal["small", "large"] | None, None),
        (Annotated[str | None, "Its size"], None),
        (Optional[Annotated[str, "Its size"]], None),  # noqa: UP045 - pyright knows no other form
        (Size, Size.SMALL),
        (tuple[Size, ...], (Size.SMALL,)),
        (list[str], attrs.Factory(list)),
        (date, attrs.Factory(date.today)),  # not asked before a call
    ],
)
def test_a_default_of_its_type_is_taken(annotation: object, default: object) -> None:
    assert schema_of(with_default(annotation, default))["required"] == []


@attrs.frozen
class MaybeKnown:
    guests: int | None
    day: Annotated[date | None, "The day"]
    table: Literal[1, 2, 12]
    note: str | None = "none"


@pytest.mark.parametrize("sent", [{}, {"guests": None, "day": None}, {"day": ""}])
def test_an_argument_that_may_be_none_need_not_be_sent(sent: dict[str, object]) -> None:
    """Its schema does not ask for it, and the handler gets None: no model has to make a value up."""
    made = read_strictly(MaybeKnown, orjson.dumps({"table": "12", **sent}).decode())

    assert made == MaybeKnown(None, None, 12, "none")
    assert schema_of(MaybeKnown)["required"] == ["table"]


@pytest.mark.parametrize("sent", [3, "three", 1.5, True])
def test_a_literal_of_numbers_is_one_of_them(sent: object) -> None:
    with pytest.raises(ArgumentsRefused, match="`table` must be one of 1, 2, 12"):
        read_strictly(MaybeKnown, orjson.dumps({"table": sent}).decode())


@pytest.mark.parametrize("odd", [Literal[1, "a"], Literal[True], Literal[b"a"]])
def test_a_literal_of_anything_else_is_refused(odd: object) -> None:
    kind = attrs.make_class("Odd", {"field": attrs.field(type=odd)})  # type: ignore[call-overload]
    with pytest.raises(SchemaRefused, match="a Literal of words or numbers"):
        schema_of(kind)
