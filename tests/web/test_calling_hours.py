"""Callees are called within the hours by their own clock, wherever they may be."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.calls.campaigns import CallingHours, is_zone

NEW_YORK, LONDON, TOKYO = "America/New_York", "Europe/London", "Asia/Tokyo"
OFFICE = CallingHours.read("09:00-17:00", "mon-fri")


def at(text: str, zone: str = NEW_YORK) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-27 12:00", "2026-11-27 12:00"),
        ("2026-11-27 09:00", "2026-11-27 09:00"),
        ("2026-11-27 08:59", "2026-11-27 09:00"),
        ("2026-11-27 17:00", "2026-11-30 09:00"),
        ("2026-11-28 12:00", "2026-11-30 09:00"),
        ("2026-11-30 03:00", "2026-11-30 09:00"),
        ("2027-03-12 18:00", "2027-03-15 09:00"),  # the clocks go forward in between
        ("2026-10-30 18:00", "2026-11-02 09:00"),  # and back
    ],
)
def test_a_callee_is_called_from_the_next_opening_on(now: str, opens: str) -> None:
    assert OFFICE.opening(at(now), [NEW_YORK]) == at(opens)


def test_a_callee_who_may_be_in_two_zones_is_called_when_it_is_day_in_both() -> None:
    assert OFFICE.opening(at("2026-11-27 09:30", LONDON), [LONDON, NEW_YORK]) == at("2026-11-27 09:00")
    assert OFFICE.opening(at("2026-11-27 12:30"), [LONDON, NEW_YORK]) == at("2026-11-30 09:00")


def test_zones_that_share_no_hour_are_never_open() -> None:
    assert OFFICE.opening(at("2026-11-27 12:00"), [NEW_YORK, TOKYO]) is None


@given(st.floats(1.7e9, 1.9e9), st.sampled_from([NEW_YORK, LONDON, TOKYO, "Australia/Lord_Howe", "Asia/Kathmandu"]))
def test_an_opening_is_within_the_hours_and_stays_where_it_is(now: float, zone: str) -> None:
    opening = OFFICE.opening(now, [zone])
    assert opening is not None
    local = datetime.fromtimestamp(opening, ZoneInfo(zone))
    assert (now <= opening, 9 <= local.hour < 17, local.weekday() < 5) == (True, True, True)
    assert OFFICE.opening(opening, [zone]) == opening


@pytest.mark.parametrize(
    ("hours", "days", "written"),
    [
        ("9:00-20:30", "mon-fri", ("09:00-20:30", "mon,tue,wed,thu,fri")),
        ("00:00-24:00", "SAT - MON", ("00:00-24:00", "mon,sat,sun")),
        ("10:00-11:00", "wed, fri", ("10:00-11:00", "wed,fri")),
    ],
)
def test_hours_are_read_and_written(hours: str, days: str, written: tuple[str, str]) -> None:
    read = CallingHours.read(hours, days)

    assert read.written() == written
    assert CallingHours.read(*written) == read


@pytest.mark.parametrize("hours", ["", "9-20", "20:00-09:00", "09:00-09:00", "25:00-26:00", "09:00-24:30", "x"])
def test_hours_that_are_none_are_refused_with_an_example(hours: str) -> None:
    with pytest.raises(ValueError, match="09:00-20:00"):
        CallingHours.read(hours, "mon-fri")


@pytest.mark.parametrize("days", ["", "monday", "mon-", "mon,,tue", "1-5"])
def test_days_that_are_none_are_refused_with_an_example(days: str) -> None:
    if days == "mon-":
        assert CallingHours.read("09:00-20:00", days).days == (0,)
        return
    with pytest.raises(ValueError, match="mon-fri"):
        CallingHours.read("09:00-20:00", days)


@pytest.mark.parametrize(
    ("name", "is_one"), [(NEW_YORK, True), ("UTC", True), ("EST", False), ("Etc/Unknown", False), ("", False)]
)
def test_a_time_zone_has_the_name_of_a_place(name: str, *, is_one: bool) -> None:
    assert is_zone(name) == is_one


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "America", "America/New_York\0"])
def test_a_path_is_no_time_zone(name: str) -> None:
    assert not is_zone(name)
