"""Parameters of a request: decoded once, wrong ones named. What is unknown is an error, never ignored (interface.md).

Values of `host`, `harness`, `project`, `model` and `provider` may be repeated or separated by commas; one with a
comma is quoted as in CSV (`project="a,b"`). An empty value selects what has none: `model=` is usage without a model.
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from trueup_hub.errors import BadRequest

C = TypeVar("C", bound=str)

DIMENSIONS = ("host", "harness", "project", "model", "provider")  # in the order of the SQL's parameters
COUNTED = ("once",)  # copies that are set aside are counted in trust, and by no sum
COMMON = ("from", "to", "timezone", *DIMENSIONS, "counted")

# Times that can be stored lie in 2015 … 2100 (design section 4). A margin of a day covers every zone.
FIRST_DAY, LAST_DAY = date(2015, 1, 2), date(2100, 12, 30)


class Common(Struct, frozen=True):
    """What every analytics endpoint can be asked. None = not asked."""

    first: date | None
    last: date | None  # included
    zone: ZoneInfo
    filters: dict[str, list[str]]  # only dimensions that were asked for


class Query:
    """The query string of one request. `own`: the endpoint's parameters beside the common ones."""

    def __init__(self, pairs: Iterable[tuple[str, str]], own: Sequence[str] = (), *, common: bool = True) -> None:
        known = (*own, *COMMON) if common else tuple(own)
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in known:
                accepted = f"it takes {', '.join(known)}" if known else "it takes none"
                raise BadRequest("unknown_parameter", f"'{name}' is not a parameter of this route: {accepted}.")
            if "\0" in value:
                raise bad(name, value, "must not contain a NUL character")
            self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str | None:
        """A parameter that may be given once. None = not given."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise BadRequest("bad_parameter", f"'{name}' is given {len(values)} times; it takes one value.")
        return values[0]

    def choice(self, name: str, choices: Sequence[C], default: C | None, code: str = "bad_parameter") -> C:
        """One of `choices`. BadRequest lists them; so it does for an absent one without a default."""
        value = self.text(name)
        if value is None and default is not None:
            return default
        for known in choices:
            if value == known:
                return known
        said = f"'{name}' is needed" if value is None else f"'{name}' cannot be '{_shown(value)}'"
        raise BadRequest(code, f"{said}: use one of {', '.join(choices)}.", supported=list(choices))

    def whole(self, name: str, default: int, lowest: int, highest: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        # str.isdigit alone lets '²' through, int() alone lets '1_0' and ' 1' through
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
        if not lowest <= number <= highest:
            raise bad(name, value, f"must be a whole number from {lowest} to {highest}")
        return number

    def day(self, name: str) -> date | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        if day is None or day.isoformat() != value:  # not 20261122 or 2026-W47-7
            raise bad(name, value, "must be a date such as 2026-11-22")
        if not FIRST_DAY <= day <= LAST_DAY:
            raise bad(name, value, f"must lie between {FIRST_DAY} and {LAST_DAY}")
        return day

    def several(self, name: str) -> list[str] | None:
        """Values of a parameter that may be repeated or separated by commas, without repetitions. None = not given."""
        if name not in self._values:
            return None
        found: dict[str, None] = {}
        for value in self._values[name]:
            try:
                rows = list(csv.reader([value], strict=True)) if value else [[""]]
            except csv.Error as error:
                raise bad(name, value, f"is not a list of values ({error})") from error
            found.update(dict.fromkeys(part for row in rows for part in row))
        return list(found)

    def common(self, default_zone: str) -> Common:
        """The common parameters. `default_zone`: the hub's setting."""
        first, last = self.day("from"), self.day("to")
        if first is not None and last is not None and first > last:
            raise BadRequest("bad_parameter", f"'from' ({first}) is after 'to' ({last}).")
        self.choice("counted", COUNTED, "once")
        zone = self.text("timezone")
        asked = {name: self.several(name) for name in DIMENSIONS}
        filters = {name: values for name, values in asked.items() if values is not None}
        return Common(first, last, ZoneInfo(default_zone) if zone is None else zone_of(zone), filters)


def zone_of(name: str) -> ZoneInfo:
    """A zone of the IANA list by its exact name; BadRequest names what is none."""
    if name not in _zone_names():
        raise bad("timezone", name, "is not a time zone of the IANA list, such as Europe/Berlin")
    return ZoneInfo(name)


@cache
def _zone_names() -> frozenset[str]:
    # ZoneInfo(name) alone also accepts directories, 'localtime' and other files of the system's database
    return frozenset(available_timezones())


def bad(name: str, value: str, why: str) -> BadRequest:
    """'name' is 'value', which `why`. A long value is cut."""
    return BadRequest("bad_parameter", f"'{name}' is '{_shown(value)}': {why}.")


def _shown(value: str) -> str:
    return value if len(value) <= 60 else value[:60] + "…"
