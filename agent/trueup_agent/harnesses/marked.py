"""Databases read past the last row, whose row ids begin anew when the database is made anew or was emptied."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses.base import Database, Unfinished
from trueup_agent.records import Parsed

PAGE_ROWS = 2000

Row = dict[str, Any]

_encode_json = msgspec.json.Encoder().encode


class Mark(Struct):
    """The last row read, and what it held: another row may come to have its id."""

    id: int = 0
    digest: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Mark).decode


class MarkedRows:
    """`base.WholeParser` without the table: subclasses give `page`, `digest` and `rows`."""

    def __init__(self, state: bytes | None) -> None:
        self._mark = _decode(state) if state else Mark()

    def state(self) -> bytes:
        return _encode(self._mark)

    def ready(self) -> bool:
        """Before anything else of a reading. Is there such a table?"""
        raise NotImplementedError

    def page(self, where: str, id_: int, limit: int) -> list[Row]:
        """`select` of that table."""
        raise NotImplementedError

    def digest(self, row: Row) -> str:
        """Of what does not change in a row."""
        raise NotImplementedError

    def rows(self, rows: Sequence[Row], parsed: Parsed) -> None:
        raise NotImplementedError

    def read(self, everything: bool) -> Iterator[Parsed]:
        if not self.ready():
            return
        if everything or not self._holds():
            self._mark = Mark()
        while found := self.page("rowid > ? ORDER BY rowid", self._mark.id, PAGE_ROWS):
            if found[-1]["rowid"] <= self._mark.id:
                raise Unfinished("its rows are out of order")  # a damaged index, which would lead round and round
            parsed = Parsed(lines=len(found))
            self.rows(found, parsed)
            self._mark = Mark(found[-1]["rowid"], self.digest(found[-1]))
            yield parsed

    def _holds(self) -> bool:
        found = self.page("rowid = ?", self._mark.id, 1)
        return bool(found) and self.digest(found[0]) == self._mark.digest


def select(database: Database, table: str, columns: Sequence[str], where: str, id_: int, limit: int) -> list[Row]:
    """Rows by column name, those that a release lacks as None, and the row id as `rowid`."""
    known = database.columns(table)
    listed = ", ".join(name if name in known else f"NULL AS {name}" for name in columns)
    found = database.rows(f"SELECT rowid, {listed} FROM {table} WHERE {where} LIMIT ?", (id_, limit))
    return [dict(zip(("rowid", *columns), row, strict=True)) for row in found]


def digest_of(*values: Any) -> str:
    return blake2b(_encode_json([str(value) for value in values]), digest_size=8).hexdigest()
