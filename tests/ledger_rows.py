"""Made-up records for tests of the ledger, and the ledger's own sums computed another way."""

import sqlite3
from pathlib import Path
from typing import Any

from trueup_agent.ledger import SourceInfo, SourceUpdate
from trueup_agent.ledger.rows import Origin, event_row, message_row, session_row
from trueup_agent.ledger.tables import TABLES
from trueup_agent.policy import Policy
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared import keys, wire

POLICY = Policy()
NOON = 1_790_000_000_000_000


def session(name: str, **fields: Any) -> SessionRecord:
    return SessionRecord(key=keys.session_key("fake", name), harness="fake", session_id=name, **fields)


def message(name: str, session_name: str = "s", **fields: Any) -> MessageRecord:
    values = {"at": NOON, "role": "user", "kind": "prompt"} | fields
    session_key = keys.session_key("fake", session_name)
    return MessageRecord(key=keys.message_key("fake", name), session_key=session_key, harness="fake", **values)


def event(name: str, session_name: str = "s", **fields: Any) -> EventRecord:
    values = {"at": NOON, "identity": f'["{name}"]'} | fields
    session_key = keys.session_key("fake", session_name)
    return EventRecord(key=keys.event_key("fake", name), session_key=session_key, harness="fake", **values)


def update(
    *records: SessionRecord | MessageRecord | EventRecord,
    source: str = "log",
    policy: Policy = POLICY,
    version: int = 1,
    seen: bytes | None = None,
    **info: Any,
) -> SourceUpdate:
    """What reading `records` from a source called `source` hands to the ledger."""
    key = keys.key("source", "fake", source)
    origin = Origin(key, version)
    return SourceUpdate(
        source=SourceInfo(source_key=key, harness="fake", identity=source, path=source, data_version=version, **info),
        sessions=[session_row(r, origin, policy) for r in records if isinstance(r, SessionRecord)],
        messages=[message_row(r, origin, policy) for r in records if isinstance(r, MessageRecord)],
        events=[event_row(r, origin, policy) for r in records if isinstance(r, EventRecord)],
        seen=seen,
    )


def recomputed(path: Path, policy: Policy = POLICY) -> tuple[bytes, int]:
    """Digest and number of rows, from the stored columns alone."""
    digest = rows = 0
    with sqlite3.connect(path) as db:
        for table in TABLES:
            for columns in db.execute(f"SELECT {table.columns} FROM {table.name}"):
                row = table.kind(*columns)
                digest += keys.row_digest(
                    table.number, row.key, wire.encode_body(table.body(row, policy)), policy.digest_set
                )
                rows += 1
    db.close()
    return keys.digest_bytes(digest), rows
