"""A fleet out of one home: what one push brought is cloned in SQL for further hosts, under keys and names of their own.

Dates, sizes and numbers stay the same. For trueup's hub, and for agentsview's database.
"""

from collections.abc import Iterable

from trueup_hub.db import Connection, Database

HOSTS = 20

_KEYS = ("session_key", "parent_key", "message_key", "event_key", "owner_key", "source_key", "batch_id")
_KEPT = ("hosts", "ledgers", "directives", "confirmations")

# agentsview counts a request once by its ids, so that clones need their own.
_PEER_TABLES = ("sessions", "messages", "tool_calls", "tool_result_events")
_PEER_IDS = (
    *("session_id", "parent_session_id", "parser_parent_session_id", "source_session_id", "subagent_session_id"),
    *("claude_message_id", "claude_request_id", "source_uuid", "source_parent_uuid", "tool_use_id"),
)


async def clone(url: str) -> None:
    """The one host of this hub's database, nineteen times more."""
    db = await Database.open(url, query_timeout=3600)
    async with db.ingest() as connection:
        await connection.execute("SET statement_timeout = 0")
        [(host_no,)] = await connection.fetch("SELECT host_no FROM hosts")
        tables = [
            row[0]
            for row in await connection.fetch(
                "SELECT DISTINCT table_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND column_name = 'host_no'"
            )
            if row[0] not in _KEPT
        ]
        for number in range(2, HOSTS + 1):
            host, ledger = await _enrol(connection, host_no, number)
            own = {key: f"md5({key}::text || '{number}')::uuid" for key in _KEYS}
            own |= {"host_no": str(host), "ledger_no": str(ledger)}
            for table in tables:
                await _copy(connection, table, own, f"host_no = {host_no}")
        # Else the hub looks for what was altered behind its back, and finds all this.
        await connection.execute("UPDATE ledgers SET scrubbed_at = now()")
        await connection.execute("UPDATE hub_state SET scrubbed_at = now()")
        await connection.execute("VACUUM ANALYZE")
    await db.close()


async def _enrol(connection: Connection, host_no: int, number: int) -> tuple[int, int]:
    host = {"host_id": f"md5('{number}')::uuid", "label": f"'host-{number}'", "host_no": None}
    new = await _copy(connection, "hosts", host, f"host_no = {host_no}", "RETURNING host_no")
    ledger = {"ledger_id": f"md5('{number}')::uuid", "host_no": str(new), "ledger_no": None}
    return new, await _copy(connection, "ledgers", ledger, f"host_no = {host_no}", "RETURNING ledger_no")


async def clone_peer(url: str) -> None:
    """The one machine of agentsview's database, nineteen times more."""
    db = await Database.open(url, query_timeout=3600)
    async with db.ingest() as connection:
        await connection.execute("SET statement_timeout = 0; SET search_path = agentsview")
        for number in range(2, HOSTS + 1):
            own: dict[str, str | None] = {name: _named(name, number) for name in _PEER_IDS}
            for table in _PEER_TABLES:
                first = "session_id" if table != "sessions" else "id"
                own |= (
                    {"id": _named("id", number), "machine": f"'host-{number}'"} if table == "sessions" else {"id": None}
                )
                await _copy(connection, table, own, f"{first} NOT LIKE '%~%'")
        await connection.execute("VACUUM ANALYZE")
    await db.close()


def _named(column: str, number: int) -> str:
    return f"CASE WHEN {column} <> '' THEN {column} || '~{number}' ELSE {column} END"


async def _copy(
    connection: Connection, table: str, own: dict[str, str | None], condition: str, returning: str = ""
) -> int:
    """Rows of a table anew, with columns of their own; None leaves a column to its default."""
    found: Iterable[str] = [
        row[0]
        for row in await connection.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
            table,
        )
    ]
    columns = [name for name in found if own.get(name, "") is not None]
    values = ", ".join(own.get(name) or name for name in columns)
    sql = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {condition} {returning}"
    number: int = await connection.fetchval(sql)
    return number
