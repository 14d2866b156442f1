"""Storable values: they survive SQLite, msgpack and PostgreSQL bit for bit (design section 4). Others become None."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from trueup_shared.metrics import MAX_COUNTER

MAX_TEXT = 512  # characters; ids, models and branches are far below
MAX_PATH = 1024

EARLIEST = int(datetime(2015, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000

MAX_AMOUNT = 10**9  # of money or credits
_LEAST_AMOUNT = Decimal("1e-18")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?\s*(Z|z|[+-]\d\d:?\d\d)?$")


def text(value: object, limit: int = MAX_TEXT) -> str | None:
    """A non-empty string without NUL and lone surrogates, capped; None for anything else."""
    if not isinstance(value, str) or not value:
        return None
    if not value.isascii() or "\x00" in value:
        value = _UNSTORABLE.sub("\ufffd", value)
    return value[:limit]


def counter(value: Any) -> int | None:
    """An integer in 0 … 2^53-1. A float that is whole counts (JSON writers differ); a bool does not."""
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNTER else None
    if type(value) is float and value.is_integer() and 0 <= value <= MAX_COUNTER:
        return int(value)
    return None


def plain(value: Any) -> str | int | float | None:
    """A number or short text that JSON can say again, for raw usage that is stored; None for anything else."""
    if isinstance(value, str):
        return text(value, 256)
    if type(value) is int:
        return value if -MAX_COUNTER <= value <= MAX_COUNTER else None
    return value if type(value) is bool or (type(value) is float and isfinite(value)) else None


def amount(value: float | None) -> str | None:
    """A reported cost as decimal text; what floating point adds beyond 18 digits after the point is rounded off."""
    if value is None or isinstance(value, bool) or not 0 <= value < MAX_AMOUNT:
        return None
    return format(Decimal(repr(value)).quantize(_LEAST_AMOUNT).normalize(), "f")


def cost(value: Any) -> str | None:
    """`amount` of a decoded value that should be a number."""
    return amount(value) if type(value) in (int, float) else None


def micros(value: Any) -> int | None:
    """RFC 3339 text to microseconds UTC between 2015 and 2100; without a zone it is taken as UTC."""
    if not isinstance(value, str):
        return None
    if len(value) == 24 and value[10] == "T" and value[19] == "." and value[23] == "Z":
        # The common form, 2026-03-02T09:14:05.120Z, in a fifth of the time. What it refuses, the pattern may know.
        try:
            since = datetime.fromisoformat(value) - _EPOCH
        except ValueError:
            pass
        else:
            result = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
            return result if EARLIEST <= result < LATEST else None
    match = _RFC3339.match(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC)
    except ValueError:
        return None
    result = int(moment.timestamp()) * 1_000_000
    if fraction:
        result += int(fraction[:6].ljust(6, "0"))
    if zone and zone not in "Zz":
        offset = int(zone[1:3]) * 60 + int(zone[-2:])
        result -= (offset if zone[0] == "+" else -offset) * 60_000_000
    return result if EARLIEST <= result < LATEST else None


def epoch(value: Any, per_second: int) -> int | None:
    """Time since 1970 to microseconds UTC between 2015 and 2100. `per_second`: 1, 1000 (ms), 10**9 (ns) by producer.

    Digits as text count: JSON writers put 64-bit numbers into strings.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 25:
        value = int(value)
    if type(value) is int:
        result = value * 1_000_000 // per_second
    elif type(value) is float and abs(value) < LATEST:
        result = round(value * 1_000_000 / per_second)
    else:
        return None
    return result if EARLIEST <= result < LATEST else None


def local_micros(value: Any) -> int | None:
    """Like `micros`, but without a zone it is this machine's local time: for producers that write theirs so.

    An hour that the clocks passed twice is taken as its first pass.
    """
    at = micros(value)
    if at is None or _RFC3339.match(value)[8]:  # type: ignore[index]  # micros read it
        return at
    seconds, fraction = divmod(at, 1_000_000)
    wall = _EPOCH.replace(tzinfo=None) + timedelta(seconds=seconds)
    try:
        return int(wall.timestamp()) * 1_000_000 + fraction
    except (OverflowError, OSError, ValueError):  # what the platform's clock does not know
        return None
