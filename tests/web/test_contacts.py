"""A campaign's file is read whole: each bad line is named with its field and a fix, and nothing of it is taken."""

import attrs
import phonenumbers  # noqa: F401 - it is imported in a thread, for which a virtual clock does not wait
import pytest
import trio
from trio.testing import MockClock

from store.orders.campaigns import NewContact
from tests.web.fakes import LINE, settings
from web.calls import contacts
from web.calls.campaigns import CallingHours
from web.calls.contacts import LINES_AT_ONCE, ContactReader
from web.calls.orders import LineProblem, OrderError

NOW = 1_795_860_000.0
"""A Saturday."""


def reader(**options: object) -> ContactReader:
    return ContactReader(settings(), {"seller"}, CallingHours.read("09:00-20:00", "mon-fri"), options, NOW, "spring")


def problems(text: str, **options: object) -> list[tuple[int, str]]:
    with pytest.raises(OrderError) as refused:
        trio.run(reader(**options).read, text)
    assert all(one.problem and one.fix for one in refused.value.problems)
    return [(one.line, one.field) for one in refused.value.problems if isinstance(one, LineProblem)]


def contact(text: str, **options: object) -> NewContact:
    (found,) = trio.run(reader(**options).read, text)
    return found


def test_numbers_are_read_with_what_is_known_of_them() -> None:
    found = contact(
        '\ufeffto,name,need,agents,metadata.crm\r\n+12125550123,"Smith, Zoë",,seller,A-17\r\n', time_limit=60
    )

    assert (found.line, found.number, found.zones) == (2, "+12125550123", ("America/New_York",))
    assert found.body["context"] == {"name": "Smith, Zoë"}
    assert found.body["metadata"] == {"campaign": "spring", "line": 2, "crm": "A-17"}
    assert (found.body["agents"], found.body["time_limit"]) == ("seller", 60)
    assert found.not_before > NOW + 86_400  # on Monday


def test_empty_lines_count_and_are_left_out() -> None:
    found = trio.run(reader().read, "to\n\n+12125550123\n , \n+14155550123\n".replace(" , ", " "))

    assert [(one.line, one.number) for one in found] == [(3, "+12125550123"), (5, "+14155550123")]
    assert len({one.order_id for one in found}) == 2


def test_a_time_zone_of_the_file_is_believed() -> None:
    assert contact("to,time_zone\n+18005550123,Asia/Tokyo\n").zones == ("Asia/Tokyo",)


def test_a_mobile_number_is_called_when_it_is_day_wherever_it_may_be() -> None:
    assert set(contact("to\n+447911123456\n").zones) >= {"Europe/London", "Europe/Jersey"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [(1, "csv")]),
        ("\n\n", [(1, "csv")]),
        ("to\n", [(1, "csv")]),
        ("name\nZoë\n", [(1, "to")]),
        ("to;name\n+12125550123;Zoë\n", [(1, "csv")]),
        ("to\tname\n+12125550123\tZoë\n", [(1, "csv")]),
        ("to,nmae\n+12125550123,Zoë\n", [(1, "nmae")]),
        ("to,metadata.\n+12125550123,x\n", [(1, "metadata.")]),
        ("to,name,name\n+12125550123,a,b\n", [(1, "name"), (1, "name")]),
        ('to\n"+1212\n', [(1, "csv")]),
        ("sep=,\nto\n+12125550123\n", [(1, "csv")]),
        ("to,metadata.line\n+12125550123,x\n", [(1, "metadata.line")]),
        ('to,name\n+12125550123,"a\nb"\n5,c\n', [(4, "to")]),
        ('to,name\n+12125550123,"a\nb"\n\n5,"c\nd"\n', [(5, "to")]),
        ("to\n5\n", [(2, "to")]),
        ("to\n12125550123\n", [(2, "to")]),
        ("to\n+1212555\n", [(2, "to")]),
        ("to,name\n,Zoë\n", [(2, "to")]),
        (f"to\n{LINE}\n", [(2, "to")]),
        ("to,name\n+12125550123\n", [(2, "line")]),
        ("to\n+12125550123\n+14155550123\n+12125550123\n", [(4, "to")]),
        ("to,agents\n+12125550123,nobody\n", [(2, "agents")]),
        ("to,time_zone\n+12125550123,New York\n", [(2, "time_zone")]),
        ("to\n+15557650000\n", [(2, "to")]),
        ("to,name\n5,a\n+12125550123,b\n6," + "x" * 1001 + "\n", [(2, "to"), (4, "to"), (4, "name")]),
    ],
)  # fmt: skip
def test_every_bad_line_is_named(text: str, found: list[tuple[int, str]]) -> None:
    assert problems(text) == found


def test_a_number_with_a_character_that_one_does_not_see_says_so() -> None:
    with pytest.raises(OrderError) as refused:
        trio.run(reader().read, "to\n\u202a+12125550123\u202c\n")

    assert [one.fix for one in refused.value.problems] == [
        "There is an invisible character in it (U+202A): type it anew."
    ]


def test_a_number_that_may_be_anywhere_needs_a_time_zone_where_the_hours_are_short() -> None:
    short = attrs.evolve(reader(), hours=CallingHours.read("10:00-16:00", "mon-fri"))

    with pytest.raises(OrderError, match="time zones, and is never within the hours"):
        trio.run(short.read, "to\n+18005550123\n")


def test_a_misspelt_column_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(OrderError) as refused:
        trio.run(reader().read, "To,nmae\n+12125550123,Zoë\n")

    assert [one.fix for one in refused.value.problems][:2] == ["Did you mean to?", "Did you mean name?"]


def test_an_option_of_the_campaign_that_is_wrong_is_told_for_its_lines() -> None:
    assert problems("to\n+12125550123\n", time_limit=5) == [(2, "time_limit")]


async def test_other_tasks_run_while_a_file_is_read(autojump_clock: MockClock) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        found = await reader().read("to\n" + "".join(f"+1212{5550000 + n}\n" for n in range(10 * LINES_AT_ONCE)))
        nursery.cancel_scope.cancel()

    assert len(found) == 10 * LINES_AT_ONCE
    assert turns >= 10


def test_too_many_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "MOST_NUMBERS", 3)

    assert problems("to\n" + "".join(f"+1212{5550000 + n}\n" for n in range(9))) == [(1, "csv")]
