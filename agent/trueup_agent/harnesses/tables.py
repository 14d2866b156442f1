"""What parsers of databases have in common: columns that a release may lack, and watermarks."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import Database, Unfinished
from trueup_agent.records import Parsed

PIECE_RECORDS = 4_000
PAGE_ROWS = 500
_LONGEST_MARK = 512  # characters: a time or an id, and not what else a column may hold

Row = dict[str, Any]
Mark = int | float | str

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Mark]).decode


class Table:
    """Rows of one table by column name. A column that the release lacks is None, a table that it lacks has no rows."""

    def __init__(self, database: Database, name: str, columns: Sequence[str]) -> None:
        self._database = database
        self.name = name
        self.columns = database.columns(name)
        self._wanted = list(columns)
        self._select = ", ".join(f'"{c}"' if c in self.columns else "NULL" for c in columns)

    def rows(self, rest: str = "", parameters: Sequence[Any] = ()) -> list[Row]:
        """`rest`: what comes after the table's name. Nothing where it names a column that the release lacks."""
        if not self.columns:
            return []
        found = self._database.rows(f'SELECT {self._select} FROM "{self.name}" {rest}', parameters)
        return [dict(zip(self._wanted, row, strict=True)) for row in found]

    def pages(self, condition: str = "1", parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Rows that meet the condition in the order of their rowid, a page at a time: tables can be large."""
        if not self.columns:
            return
        after = -(1 << 63)
        select = f'SELECT rowid, {self._select} FROM "{self.name}" WHERE rowid > ? AND ({condition})'
        while found := self._database.rows(f"{select} ORDER BY rowid LIMIT {PAGE_ROWS}", (after, *parameters)):
            last = found[-1][0]
            if type(last) is not int or last <= after:
                raise Unfinished("its rows are not in order")  # a damaged file may lead in circles
            after = last
            for row in found:
                yield dict(zip(self._wanted, row[1:], strict=True))


class RowsParser:
    """`base.WholeParser` of a database: subclasses give `fill`."""

    def __init__(self, state: bytes | None) -> None:
        self.parsed = Parsed()
        self._mark: dict[str, Mark] = _decode(state) if state else {}
        self._next: dict[str, Mark] = {}

    def fill(self) -> Iterator[None]:
        """Put records into `parsed`, from `since(…)` on, and yield where what was put in may be handed over."""
        raise NotImplementedError

    def since(self, name: str, least: Mark) -> Mark:
        """The watermark of that name; `least` where everything is to be read."""
        mark = self._since.get(name, least)
        return mark if isinstance(mark, str) == isinstance(least, str) else least

    def saw(self, name: str, value: object) -> None:
        """A value that the next reading begins with, or with a greater one."""
        if isinstance(value, float) and not isfinite(value):
            return  # JSON cannot say it again
        if isinstance(value, (int, float, str)) and not (isinstance(value, str) and len(value) > _LONGEST_MARK):
            mark = self._next.get(name, value)
            if isinstance(mark, str) != isinstance(value, str):
                return  # a value of another type than its column has
            self._next[name] = max(mark, value)

    def read(self, everything: bool) -> Iterator[Parsed]:
        self._since = {} if everything else self._mark
        self._next = dict(self._since)
        for _ in self.fill():
            if len(self.parsed.events) + len(self.parsed.messages) + len(self.parsed.sessions) >= PIECE_RECORDS:
                yield self._piece()
        self._mark = self._next
        yield self._piece()

    def state(self) -> bytes:
        return _encode(self._mark)

    def _piece(self) -> Parsed:
        parsed, self.parsed = self.parsed, Parsed()
        return parsed


def is_id(value: object) -> bool:
    """May it name something in the ledger as it stands? A key column of SQLite can hold anything, NULL too."""
    return value is not None and values.text(value) == value
