"""What the steps of one batch's transaction share."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from trueup_hub.db import Connection, Database, Record
from trueup_hub.ingest.ownership import Precedence, Versions
from trueup_hub.ingest.rollups import Rollup
from trueup_hub.ingest.terms import Terms
from trueup_hub.pricing import InForce
from trueup_hub.sqlfiles import load
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.wire import ParserVersion

_SQL = load("ownership")


class SessionDelta(Struct):
    """What a batch adds to one session of its ledger. `rows` and `digest` cover all three tables."""

    messages: int = 0
    rows: int = 0
    digest: int = 0


class Counts(Struct):
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0


class Transaction(Struct):
    db: Database
    connection: Connection
    host_no: int
    ledger_no: int
    batch_no: int
    terms: Terms
    rollup: Rollup
    digest_set: int  # of the ledger
    parsers: Mapping[str, ParserVersion] | None  # as the batch states them; None: the hub's own change, no batch's
    counts: Counts = field(default_factory=Counts)
    digest: int = 0  # what the batch adds to the ledger's
    rows: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0, 3: 0})  # … and to its row counts, by table
    sessions: dict[bytes, SessionDelta] = field(default_factory=dict)
    priced: InForce | None = None  # what new events are priced with; None: there are none
    careful: bool = False  # look every row up, also those whose owner key nobody had

    def account(self, table: int, session_key: bytes, row_digest: bytes, sign: int) -> None:
        """A row enters (sign 1) or leaves (-1) the sums."""
        digest = sign * int.from_bytes(row_digest, "big")
        delta = self.sessions.get(session_key)
        if delta is None:
            delta = self.sessions[session_key] = SessionDelta()
        delta.rows += sign
        delta.digest += digest
        self.digest += digest
        self.rows[table] += sign

    def data_version(self, harness: str | None) -> int:
        """As the batch states it; 0 where it does not."""
        parser = (self.parsers or {}).get(harness or "")
        return parser.version if parser is not None else 0

    async def each(self, sql: str, arguments: list[tuple[Any, ...]]) -> list[Record]:
        """One statement for each row, pipelined: always a probe of the primary key, whatever the statistics."""
        if not arguments:
            return []
        records = await self.connection.fetchmany(sql, arguments)
        if len(records) != len(arguments):
            raise AssertionError(f"{len(arguments)} rows expected, {len(records)} found by: {sql}")
        return records

    async def precedence(self, ledgers: set[int]) -> dict[int, Precedence]:
        """Enrolment and ledger id never change, so they are read once for each ledger."""
        known: dict[int, Precedence] = self.db.caches.setdefault("precedence", {})
        if missing := ledgers - known.keys():
            for row in await self.connection.fetch(_SQL["precedence"], list(missing)):
                known[row["ledger_no"]] = (row["enrolled_at"], row["host_id"], row["ledger_id"])
        return known

    async def versions(self, ledgers: set[int]) -> Versions:
        """For ranking copies of these ledgers. Read anew each time, under the owners' locks: agents change them.

        Caps are by the harness's term: a copy cannot win by claiming a version that this release does not know.
        """
        stored = await self.connection.fetch(_SQL["parsers_of"], list(ledgers))
        parsers: dict[int, Any] = {row["ledger_no"]: row["parsers"] for row in stored}
        if self.parsers is not None:
            parsers[self.ledger_no] = {name: {"floor": parser.floor} for name, parser in self.parsers.items()}
        terms = self.terms
        floors = {
            (ledger_no, terms[name]): parser["floor"]
            for ledger_no, stated in parsers.items()
            for name, parser in stated.items()
            if name in DATA_VERSIONS
        }
        return Versions(caps={terms[name]: version for name, version in DATA_VERSIONS.items()}, floors=floors)
