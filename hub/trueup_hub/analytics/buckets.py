"""Local days, weeks, months and hours as ranges of 15-minute UTC slots (trueup_shared/times.py)."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from msgspec import Struct

from trueup_shared.times import first_slot, local_time

DAY_SLOTS = 96

Granularity = Literal["hour", "day", "week", "month"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)


class Buckets(Struct, frozen=True):
    """Consecutive ranges: bucket i begins at `bounds[i]` and ends before `bounds[i + 1]`; there is one bound more."""

    starts: list[str]  # a date, or a local time with its offset
    bounds: list[int]  # slots
    days: list[date] | None  # first day of each; None where buckets are shorter than days


def days_of(first: date, last: date) -> list[date]:
    """Both included."""
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def buckets(first: date, last: date, zone: ZoneInfo, granularity: Granularity) -> Buckets:
    """Every bucket between two local dates (included). Weeks begin on Monday. The first week or month is named by its
    first day, also where the range begins later; no bucket reaches outside the range."""
    days = days_of(first, last)
    end = first_slot(last + timedelta(1), zone)
    if granularity == "hour":
        hours = [hour for day in days for hour in _hours(day, zone)]
        return Buckets([local_time(slot, zone).isoformat() for slot in hours], [*hours, end], None)
    began = {_beginning(day, granularity): day for day in reversed(days)}  # beginning -> first day inside the range
    pairs = sorted(began.items())
    inside = [day for _, day in pairs]
    return Buckets([start.isoformat() for start, _ in pairs], [*(first_slot(day, zone) for day in inside), end], inside)


def whole(first: date, last: date, zone: ZoneInfo) -> Buckets:
    """One bucket for all of it."""
    return Buckets([first.isoformat()], [first_slot(first, zone), first_slot(last + timedelta(1), zone)], [first])


def _beginning(day: date, granularity: Granularity) -> date:
    if granularity == "week":
        return day - timedelta(day.weekday())
    return day.replace(day=1) if granularity == "month" else day


def _hours(day: date, zone: ZoneInfo) -> Iterator[int]:
    """Slots at which a local hour begins. Where clocks change an hour can be shorter, or come twice."""
    begin, end = first_slot(day, zone), first_slot(day + timedelta(1), zone)
    if end - begin == DAY_SLOTS:
        yield from range(begin, end, 4)
        return
    previous = None
    for slot in range(begin, end):
        at = local_time(slot, zone)
        hour = (at.hour, at.utcoffset())
        if hour != previous:
            yield slot
        previous = hour
