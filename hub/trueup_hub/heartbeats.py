"""What a host says of itself between batches: written at most every 30 s, at once when its state changes."""

from uuid import UUID

from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.auth import Caller, placeholder_label
from trueup_hub.db import Connection, Database
from trueup_hub.directives import open_directives, record_reports
from trueup_hub.enrolment import clean_label
from trueup_hub.ingest.identity import ledger_number
from trueup_hub.states import EXPECTED_SILENCE
from trueup_shared.times import moment
from trueup_shared.wire import Directive, Heartbeat


class Recorded(Struct, frozen=True):
    """`news`: something was written; else the last one is recent and said the same. `directives`: what is to do."""

    news: bool
    directives: list[Directive]


async def record_heartbeat(db: Database, host: Caller, ledger_id: UUID, heartbeat: Heartbeat) -> Recorded:
    sql = sqlfiles.load("hosts")
    async with db.transaction() as connection:
        place = (host.host_no, await ledger_number(connection, host.host_no, str(ledger_id)))
        if host.name == placeholder_label(host.host_id):
            await _name_again(connection, host, heartbeat)
        if heartbeat.sources:
            await _record_sources(connection, *place, heartbeat)
        written = await connection.fetchval(
            sql["heartbeat"],
            *place,
            moment(heartbeat.sent_at),
            heartbeat.head_seq,
            heartbeat.rows,
            heartbeat.pending,
            heartbeat.agent,
            heartbeat.parsers,
            heartbeat.skipped_lines,
            heartbeat.unknown_records,
            heartbeat.old_data,
            heartbeat.source_gone,
            heartbeat.drift_suspected,
            heartbeat.withheld,
            heartbeat.last_error and heartbeat.last_error[:500].replace("\0", "\ufffd"),
        )
        reported = await record_reports(connection, *place, heartbeat.directives)
        directives = await open_directives(connection, *place, heartbeat.agent.features)
    return Recorded(written is not None or reported, directives)


async def _name_again(connection: Connection, host: Caller, heartbeat: Heartbeat) -> None:
    """A re-admitted host gets back what the lost database knew: label, kind, platform."""
    silence = None if heartbeat.kind is None else int(EXPECTED_SILENCE[heartbeat.kind].total_seconds())
    await connection.execute(
        sqlfiles.load("hosts")["name_readmitted"],
        host.host_no,
        None if heartbeat.label is None else clean_label(heartbeat.label),
        heartbeat.kind,
        heartbeat.platform,
        silence,
        host.name,
    )


async def _record_sources(connection: Connection, host_no: int, ledger_no: int, heartbeat: Heartbeat) -> None:
    sql = sqlfiles.load("hosts")
    latest = {source.key: source for source in heartbeat.sources}  # a statement takes each row once
    sources = [latest[key] for key in sorted(latest)]
    await connection.execute(sql["new_terms"], sorted({source.harness for source in sources}))
    await connection.execute(
        sql["sources"],
        host_no,
        ledger_no,
        [source.key for source in sources],
        [source.harness for source in sources],
        [source.state for source in sources],
        [source.bytes_read for source in sources],
        [source.lines for source in sources],
        [source.skipped_lines for source in sources],
        [source.unknown_records for source in sources],
        [source.path for source in sources],
    )
