"""A hub's rows altered, lost and invented behind its back, in PostgreSQL."""

import random
from uuid import UUID

from hub_process import Hub
from trueup_hub.db import Database
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all
from trueup_shared import keys

TABLES = {keys.SESSIONS: ("sessions", "session_key"), keys.MESSAGES: ("messages", "message_key")}
TABLES[keys.EVENTS] = ("events", "event_key")
_ALTERED = {
    keys.SESSIONS: "git_branch = 'x'",
    keys.MESSAGES: "size_chars = 99999",
    keys.EVENTS: "output_tokens = 99999",
}

Place = tuple[int, bytes]


def database_of(hub: Hub) -> Database:
    return hub.auth.db


async def stored(db: Database) -> list[Place]:
    """Every row that the hub has."""
    return [
        (table, row[0])
        for table, (name, key) in TABLES.items()
        for row in await db.fetch(f"SELECT {key} FROM {name} ORDER BY 1")
    ]


async def lose(db: Database, place: Place) -> None:
    """The row alone: its session keeps the entry that its other rows are summed up in."""
    name, key = TABLES[place[0]]
    if place[0] == keys.SESSIONS:
        await db.execute("UPDATE sessions SET row_digest = NULL, session_id = NULL WHERE session_key = $1", place[1])
    else:
        await db.execute(f"DELETE FROM {name} WHERE {key} = $1", place[1])


async def alter(db: Database, place: Place) -> None:
    name, key = TABLES[place[0]]
    await db.execute(f"UPDATE {name} SET {_ALTERED[place[0]]} WHERE {key} = $1", place[1])


async def invent(db: Database, place: Place, seed: random.Random) -> Place:
    """Another row like this one (a message or an event); the new one's place."""
    table = place[0]
    name, key = TABLES[table]
    new = seed.randbytes(16)
    columns = [
        row[0]
        for row in await db.fetch("SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0", name)
    ]
    taken = ", ".join(f"'{UUID(bytes=new)}'::uuid" if column == key else column for column in columns)
    await db.execute(f"INSERT INTO {name} ({', '.join(columns)}) SELECT {taken} FROM {name} WHERE {key} = $1", place[1])
    return table, new


async def misremember(db: Database, place: Place) -> None:
    """The stored digest alone is wrong."""
    name, key = TABLES[place[0]]
    await db.execute(f"UPDATE {name} SET row_digest = gen_random_uuid() WHERE {key} = $1", place[1])


async def scrub(db: Database) -> int:
    """What the hub does by itself every day: sums tell of what is there. How many rows had been altered or lost."""
    return (await scrub_all(db)).corrected


async def unsound(db: Database) -> dict[str, int]:
    """What is wrong with the hub's digests and sums of sessions and ledgers."""
    found = await verify(db)
    return {name: count for name, count in found.items() if name in ("session_differences", "ledger_differences")}
