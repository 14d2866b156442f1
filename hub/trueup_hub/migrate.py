"""Brings a database to the schema of this release: `migrations/NNNN_what.sql`, forward only, one transaction each."""

from importlib.resources import files

from trueup_hub.db import Database
from trueup_hub.errors import DatabaseUnavailable
from trueup_hub.readers import grant_reading

_LOCK = 0x74727565_7570  # "trueup": replicas that start together migrate one after the other


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) in order."""
    found = sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in (files("trueup_hub") / "migrations").iterdir()
        if entry.name.endswith(".sql")
    )
    return [(int(name[:4]), name.removesuffix(".sql"), text) for name, text in found]


async def migrate(db: Database) -> list[str]:
    """Apply what is missing and let readers read it; the names applied. Safe from several processes at once."""
    known = migrations()
    applied: list[str] = []
    async with db.connection() as connection:
        # Until the pool has it back: a large database takes longer than a request may, as does waiting for a replica
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations"
                " (number int4 PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            at: int = await connection.fetchval("SELECT coalesce(max(number), 0) FROM migrations")
            if at > known[-1][0]:
                raise DatabaseUnavailable(
                    f"the database has schema {at}, this trueup knows {known[-1][0]}: upgrade trueup on this machine"
                )
            for number, name, text in known:
                if number > at:
                    async with connection.transaction():
                        await connection.execute(text)
                        await connection.execute("INSERT INTO migrations (number, name) VALUES ($1, $2)", number, name)
                    applied.append(name)
            await grant_reading(connection)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return applied
