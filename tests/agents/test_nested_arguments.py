"""Arguments may be dates, members of enums, and argument classes inside of one another."""

from datetime import date, datetime, time
from enum import Enum, IntEnum
from typing import Annotated, Literal

import attrs
import orjson
import pytest

from agents.arguments import ArgumentsRefused, SchemaRefused, json_of, schema_of
from agents.kinds import Between
from tests.agents.strictly import read_strictly


class Meal(Enum):
    LUNCH = "lunch"
    DINNER = "dinner"


class Floor(IntEnum):
    GROUND = 0
    FIRST = 1


class Odd(Enum):
    HALF = 0.5


@attrs.frozen
class Guest:
    name: Annotated[str, "Who"]
    age: Annotated[int, "How old", Between(0, 120)] = 30


@attrs.frozen
class Table:
    day: Annotated[date, "Which day"]
    at: time
    meal: Meal = Meal.DINNER
    floor: Floor = Floor.GROUND
    host: Guest | None = None
    guests: tuple[Guest, ...] = ()
    wishes: list[str] = attrs.field(factory=list)
    until: datetime | None = None


@attrs.frozen
class Marked:
    rating: Annotated[int | None, "How good", Between(1, 5)] = None
    size: Annotated[int, "How large", Between(1, 9)] | None = None
    scores: list[Annotated[int, Between(1, 5)]] = attrs.field(factory=list)


@attrs.frozen
class Needed:
    names: list[str]


@attrs.frozen
class Loop:
    inner: "Loop | None" = None


@attrs.frozen
class WithOdd:
    odd: Odd


@attrs.frozen
class WithWrong:
    guest: WithOdd


FULL = {
    "day": "2027-03-24",
    "at": "19:30",
    "meal": " Lunch ",
    "floor": 1,
    "host": {"name": "Ann"},
    "guests": [{"name": "Bob", "age": "7"}],
    "wishes": ["a window"],
    "until": "2027-03-24T22:00:00+01:00",
}


def problems(arguments: type, sent: object) -> tuple[str, ...]:
    with pytest.raises(ArgumentsRefused) as refused:
        read_strictly(arguments, orjson.dumps(sent).decode())
    return refused.value.problems


def test_what_the_model_sends_becomes_values() -> None:
    table = read_strictly(Table, orjson.dumps(FULL).decode())

    assert (table.day, table.at, table.meal, table.floor) == (date(2027, 3, 24), time(19, 30), Meal.LUNCH, Floor.FIRST)
    assert (table.host, table.guests, table.wishes) == (Guest("Ann"), (Guest("Bob", 7),), ["a window"])
    assert table.until == datetime.fromisoformat("2027-03-24T22:00:00+01:00")


def test_the_schema_says_what_can_be_sent() -> None:
    properties = schema_of(Table)["properties"]

    assert isinstance(properties, dict)
    assert properties["day"] == {"type": "string", "format": "date", "description": "Which day"}
    assert properties["meal"] == {"type": "string", "enum": ["lunch", "dinner"], "description": ""}
    assert properties["floor"] == {"type": "integer", "enum": [0, 1], "description": ""}
    assert properties["host"] == {**schema_of(Guest), "description": ""}
    assert properties["guests"] == {"type": "array", "items": schema_of(Guest), "description": ""}


def test_arguments_are_written_as_the_model_could_have_sent_them() -> None:
    table = read_strictly(Table, orjson.dumps(FULL).decode())

    assert read_strictly(Table, orjson.dumps(json_of(table)).decode()) == table


def test_limits_and_a_description_count_wherever_they_stand() -> None:
    properties = schema_of(Marked)["properties"]

    assert properties == {
        "rating": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How good"},
        "size": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How large"},
        "scores": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 5}, "description": ""},
    }
    for sent in ({"rating": 6}, {"size": 0}, {"scores": [3, 6]}):
        (problem,) = problems(Marked, sent)
        assert "must be a whole number from 1 to" in problem
    assert read_strictly(Marked, '{"rating": null, "size": null}') == Marked()


def test_a_member_that_is_a_number_is_read_as_a_number_is() -> None:
    for sent in (1, "1", 1.0, " 1 "):
        assert read_strictly(Table, orjson.dumps({**FULL, "floor": sent}).decode()).floor is Floor.FIRST


class Score(Enum):
    LOW = "1"
    HIGH = "5"


@attrs.frozen
class Answers:
    score: Score
    again: Literal["1", "2"] = "1"


@pytest.mark.parametrize("sent", ["5", 5, " 5 "])
def test_a_word_that_is_a_number_may_be_sent_as_either(sent: object) -> None:
    assert read_strictly(Answers, orjson.dumps({"score": sent, "again": 2}).decode()) == Answers(Score.HIGH, "2")


def test_of_very_many_keys_that_are_no_arguments_the_first_are_told() -> None:
    told = problems(Needed, {"names": ["Ann"], **{f"key{number}": number for number in range(10_000)}})

    assert len(told) == 10
    assert told[0] == "`key0` is not an argument: send only `names`."


def test_a_list_that_is_required_has_something_in_it() -> None:
    assert problems(Needed, {"names": []}) == ("`names` must not be empty.",)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("day", "next Tuesday", '`day` must be a date, such as 2027-03-24, not "next Tuesday"; never guess it.'),
        ("day", "2027-02-30", "`day` must be a date"),
        ("day", 20270324, "`day` must be a date"),
        ("at", "half past", "`at` must be a time, such as 15:30"),
        ("until", "2027-03-24", "`until` must be a date with a time"),
        ("meal", "brunch", '`meal` must be one of lunch, dinner; not "brunch".'),
        ("floor", True, "`floor` must be one of 0, 1"),
        ("floor", 7, "`floor` must be one of 0, 1; not 7."),
        ("host", "Ann", "`host` must be an object with `name`, `age`, not a string."),
        (
            "host",
            {"age": 200, "size": 1},
            "`host` is not right: `size` is not an argument: send only `name`, `age`; `name` is missing: Who; `age`",
        ),
        ("guests", [{"name": ""}], "`guests` is not right: `name` must not be empty"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(name: str, value: object, told: str) -> None:
    (problem,) = problems(Table, {**FULL, name: value})

    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (Loop, "inner: Loop contains itself"),
        (WithOdd, "odd: has members of Odd that are not all texts, or all whole numbers"),
        (WithWrong, "guest.odd: has members of Odd"),
    ],
)
def test_a_class_that_has_no_schema_is_the_authors_mistake(arguments: type, told: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        schema_of(arguments)

    assert str(refused.value).startswith(told)
