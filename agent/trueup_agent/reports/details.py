"""What a report says of its rows beside their sums: for scripts as fields, for people as columns and notes."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from trueup_shared.times import moment


class Details(Struct, frozen=True, kw_only=True):
    """Lists are in the order of the report's rows. `key`: how the first dimension is shown to people."""

    fields: list[dict[str, Any]] = []
    of_all: dict[str, Any] = {}  # beside the totals
    titles: tuple[str, ...] = ()
    cells: list[tuple[str, ...]] = []
    heads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    key: Callable[[str], str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.fields[0]) if self.fields else ()

    def of(self, n: int) -> dict[str, Any]:
        return self.fields[n] if self.fields else {}

    def beside(self, n: int) -> tuple[str | None, ...]:
        return tuple(cell or None for cell in self.cells[n]) if self.cells else ()

    def shown(self, key: str | None) -> str | None:
        return key if key is None or self.key is None else self.key(key)


NO_DETAILS = Details()


def utc(at: int | None) -> str | None:
    """Microseconds as a time for scripts."""
    return None if at is None else moment(at).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def local(at: int | None, timezone: str) -> str:
    """… and for people, '' = unknown."""
    return "" if at is None else moment(at).astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")
