"""Reading the ledger beside its writer: a connection of its own, read-only, that never waits for the lock."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from trueup_agent.errors import LedgerBusy, LedgerError, LedgerMissing, LedgerOutdated, LedgerTooNew, LedgerUnusable
from trueup_agent.ledger import schema, sources
from trueup_agent.ledger.sources import SourceInfo


class LedgerReader:
    """Usable while a daemon runs. Use as a context manager; `snapshot` makes several queries see one moment."""

    def __init__(self, data_dir: Path) -> None:
        """Raises LedgerMissing, LedgerTooNew, LedgerUnusable; later LedgerOutdated, for what an old schema lacks."""
        self.path = schema.ledger_path(data_dir)
        self._outdated: LedgerError | None = None  # why it could not be brought to this release's schema
        with schema.translated(self.path):
            if not self.path.exists():
                raise LedgerMissing(f"there is no ledger in {data_dir} yet: run `trueup agent scan` first")
            # One thread after another may use it.
            self._db = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        try:
            [[version]] = self.query("PRAGMA user_version")
            if version > schema.newest_version():
                raise LedgerTooNew(
                    f"ledger {self.path} has schema {version}, written by a later release: upgrade trueup"
                )
            if version == 0:
                raise LedgerMissing(f"the ledger in {data_dir} is empty: run `trueup agent scan` first")
            if version < schema.newest_version():
                self._upgrade()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> "LedgerReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of a SELECT, as tuples."""
        try:
            with schema.translated(self.path):
                return self._db.execute(sql, parameters).fetchall()
        except LedgerUnusable as error:
            if self._outdated is not None and "no such" in str(error.__cause__):
                raise self._too_old(self._outdated) from None
            raise

    def each(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows of a SELECT, one after another: of how many there are depends nothing."""
        with schema.translated(self.path):
            yield from self._db.execute(sql, parameters)

    def insert(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Into a temporary table: the file is read-only here."""
        with schema.translated(self.path):
            self._db.executemany(sql, rows)

    def _upgrade(self) -> None:
        """Whatever stands in the way: most numbers can be read without it."""
        try:
            schema.upgrade(self.path)
        except (LedgerBusy, LedgerUnusable) as error:
            self._outdated = error

    def _too_old(self, why: LedgerError) -> LedgerOutdated:
        what = f"ledger {self.path} is as an earlier release made it, and"
        if isinstance(why, LedgerBusy):
            who = f"process {why.pid or '(unknown)'}"
            return LedgerOutdated(f"{what} {who} is using it: restart that if it is the agent, else wait for it")
        return LedgerOutdated(f"{what} cannot be brought up to date: {why}")

    def snapshot(self) -> None:
        """From here until `close` every query sees the ledger as it is now."""
        self.query("BEGIN")
        self.query("SELECT seq FROM ledger")

    def head(self) -> tuple[int, bytes, int]:
        """seq, digest, rows."""
        [[seq, digest, rows]] = self.query("SELECT seq, digest, rows FROM ledger")
        return seq, digest, rows

    def ledger_id(self) -> str:
        [[ledger_id]] = self.query("SELECT ledger_id FROM ledger")
        return str(ledger_id)

    def meta(self, name: str) -> str | None:
        rows = self.query("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def sources(self) -> list[SourceInfo]:
        """Without the parsers' states, which are most of it."""
        return [sources.from_columns(row) for row in self.query(f"SELECT {sources.WITHOUT_STATES} FROM sources")]

    def harness_rows(self) -> dict[str, tuple[int, int, int]]:
        """harness -> rows of sessions, messages, events."""
        return {row[0]: row[1:] for row in self.query("SELECT harness, sessions, messages, events FROM harnesses")}

    def floors(self) -> dict[str, int]:
        """harness -> data version that all its rows were derived by, but those flagged as old."""
        return dict(self.query("SELECT harness, floor FROM harnesses"))

    def pending(self, acked_seq: int) -> int:
        """Rows and tombstones that the hub has not acknowledged."""
        tables = ("sessions", "messages", "events", "tombstones")
        [counts] = self.query(
            "SELECT " + " + ".join(f"(SELECT count(*) FROM {table} WHERE seq > ?1)" for table in tables), (acked_seq,)
        )
        return int(counts[0])

    def source_gone_events(self) -> int:
        """Events that no log shows any more."""
        [[count]] = self.query(
            "SELECT count(*) FROM (SELECT seq FROM events WHERE gone = 1 UNION"
            " SELECT seq FROM events JOIN sources USING (source_key) WHERE state = 'source_gone')"
        )
        return int(count)

    def old_data_events(self) -> int:
        """Events of an older data version that nothing is left to derive again from."""
        return self._count("WHERE old_data = 1")

    def set_aside_events(self) -> int:
        [[count]] = self.query("SELECT count(*) FROM set_aside_events")
        return int(count)

    def _count(self, clause: str) -> int:
        [[count]] = self.query(f"SELECT count(*) FROM events {clause}")
        return int(count)
