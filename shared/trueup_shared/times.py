"""Times as both sides count them: microseconds UTC, and slots of 15 minutes for sums.

A slot number is seconds since 1970 // 900. Offsets of all zones since 2015 are multiples of 15 minutes, so that every
local hour and day is a whole number of slots, also on the days when clocks change.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SLOT_SECONDS = 900
SLOT_MICROS = SLOT_SECONDS * 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICRO


def moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def local_time(slot: int, zone: ZoneInfo) -> datetime:
    """When a slot begins."""
    return datetime.fromtimestamp(slot * SLOT_SECONDS, zone)


def first_slot(day: date, zone: ZoneInfo) -> int:
    """Where a local day begins. Where clocks skip midnight that is the moment after the gap."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) // SLOT_SECONDS
