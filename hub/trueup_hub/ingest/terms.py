"""The dictionary of dimension strings: facts carry numbers. 0 is '' = unknown."""

from collections.abc import Iterable

from trueup_hub.db import Connection, Database
from trueup_hub.sqlfiles import load

_SQL = load("ingest")


class Terms:
    """Numbers of terms; what is not known yet is added. Terms are never removed, so a cache never lies."""

    def __init__(self, db: Database) -> None:
        self._numbers: dict[str | None, int] = db.caches.setdefault("terms", {None: 0, "": 0})

    async def add(self, connection: Connection, terms: Iterable[str | None]) -> None:
        """Call it outside the batch's transaction: two batches that add the same terms must not wait for each other."""
        missing = sorted({term for term in terms if term is not None and term not in self._numbers})
        if missing:
            await connection.execute(_SQL["add_terms"], missing)
            for number, term in await connection.fetch(_SQL["numbers_of_terms"], missing):
                self._numbers[term] = number

    def __getitem__(self, term: str | None) -> int:
        return self._numbers[term]
