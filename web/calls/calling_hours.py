"""When a callee may be called: hours of the day and days of the week, by the clock where they are.

A number may lie in several time zones (a country's mobile numbers, a toll-free one): it is called when it is within the
hours in all of them. Pure, but for the time zone database of the machine or of the package `tzdata`.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import attrs

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FAR = 9
"""Days to look ahead: a week, and the days at its two ends."""


@attrs.frozen
class CallingHours:
    """From `begins` to `ends` of each of these days (0 is Monday)."""

    begins: time = time(9)
    ends: time = time(20)
    days: Sequence[int] = (0, 1, 2, 3, 4)

    @classmethod
    def read(cls, hours: str, days: str) -> "CallingHours":
        """Read "09:00-20:00" and "mon-fri,sun".

        Raises: `ValueError`, which says what to write.
        """
        found = re.fullmatch(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", hours.strip())
        try:
            begins, ends = (time(int(found[1]), int(found[2])), _end(found[3], found[4])) if found else (None, None)
        except ValueError:
            begins = ends = None
        if begins is None or ends is None or begins >= ends:
            raise ValueError("hours as 09:00-20:00, from and to, on one day")
        return cls(begins, ends, _days(days))

    def written(self) -> tuple[str, str]:
        ends = "24:00" if self.ends == time.max else f"{self.ends:%H:%M}"
        return f"{self.begins:%H:%M}-{ends}", ",".join(DAYS[day] for day in self.days)

    def opening(self, now: float, zones: Sequence[str]) -> float | None:
        """Return the first moment from `now` on (seconds since 1970) within the hours in every zone.

        None where there is none within a week: the zones are too far apart.
        """
        moment, last = now, now + _FAR * 86_400
        while moment <= last:
            later = max((self._opening(moment, _zone(name)) for name in zones), default=moment)
            if later == moment:
                return moment
            moment = later
        return None

    def _opening(self, now: float, zone: ZoneInfo) -> float:
        local = datetime.fromtimestamp(now, zone)
        if local.weekday() in self.days and self.begins <= local.time() < self.ends:
            return now
        ahead = (local.date() + timedelta(days=days) for days in range(_FAR))
        opening = (datetime.combine(day, self.begins, zone) for day in ahead if day.weekday() in self.days)
        moments = (opens.astimezone(UTC).timestamp() for opens in opening)
        return next(moment for moment in moments if moment > now)


def _end(hour: str, minute: str) -> time:
    return time.max if (hour, minute) == ("24", "00") else time(int(hour), int(minute))


def _days(text: str) -> Sequence[int]:
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError("days as mon-fri or mon,wed,sat")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return tuple(sorted(found))


@lru_cache(maxsize=500)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def is_zone(name: str) -> bool:
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):  # not there, no name at all, or the name of a folder
        return False
    return "/" in name or name == "UTC"
