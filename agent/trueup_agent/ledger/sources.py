"""What the ledger knows of a source, and the updates that move it on."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from trueup_agent.tail import Mark
from trueup_shared import __version__

if TYPE_CHECKING:
    import aiosqlite

PRESENT, GONE, TRUNCATED, REWRITTEN = "present", "source_gone", "truncated", "rewritten"

# How the error of a source begins whose parser raised what none should: a mistake of ours, that costs this one source
# until it changes, or until another release reads it.
_PLEASE = "cannot read it, please report this: "
OUR_MISTAKE = f"trueup {__version__} {_PLEASE}"


def is_mistake_of_another_release(error: str | None) -> bool:
    return error is not None and _PLEASE in error and not error.startswith(OUR_MISTAKE)


class SourceInfo(Mark, kw_only=True, gc=False):
    """One log, with the mark of where reading stopped. Fields are columns."""

    source_key: bytes
    harness: str
    identity: str  # names it across runs, even when it is moved
    path: str
    compressed: bool = False
    kind: str = "lines"  # harnesses.base.Kind
    companions: tuple[str, ...] = ()  # paths of what is read beside it
    fingerprint: bytes = b""  # of the companions, when they were last read
    full_due_at: int = 0  # microseconds UTC: when rows that were deleted are looked for; 0 nothing was left unread
    state: str = PRESENT
    parser_state: bytes | None = None
    data_version: int = 0
    lines: int = 0
    skipped: dict[str, int] = field(default_factory=dict)  # reason -> lines
    unknown: dict[str, int] = field(default_factory=dict)  # record type -> records
    events: int = 0  # snapshots of usage that it gave
    error: str | None = None  # why it could not be read
    # What was read since the last answer with usage, and the time of that one (drift.py).
    unmetered: int = 0  # answers
    unmetered_bytes: int = 0
    unmetered_prompts: int = 0
    unmetered_lines: int = 0
    unmetered_unknown: int = 0  # records of unknown types
    metered_at: int | None = None
    reread: bool = False  # by a newer parser, with nothing lost that had been read before (rederive.py)

    @property
    def skipped_lines(self) -> int:
        return sum(self.skipped.values())

    @property
    def unknown_records(self) -> int:
        return sum(self.unknown.values())


_KEYS_PER_QUERY = 500
COLUMNS = ", ".join(SourceInfo.__struct_fields__)
WITHOUT_STATES = COLUMNS.replace("parser_state", "NULL")
_MARKS = ", ".join("?" * len(SourceInfo.__struct_fields__))
_COUNTS = msgspec.json.Decoder(dict[str, int])
_PATHS = msgspec.json.Decoder(tuple[str, ...])
_FIELDS = SourceInfo.__struct_fields__


def from_columns(columns: Iterable[Any]) -> SourceInfo:
    values = dict(zip(_FIELDS, columns, strict=True))
    for name in ("compressed", "mid_line", "reread"):
        values[name] = bool(values[name])
    for name in ("skipped", "unknown"):
        values[name] = _COUNTS.decode(values[name]) if values[name] != "{}" else {}
    values["companions"] = _PATHS.decode(values["companions"]) if values["companions"] != "[]" else ()
    return SourceInfo(**values)


def _to_columns(source: SourceInfo) -> list[Any]:
    encode = msgspec.json.encode
    return [encode(v).decode() if isinstance(v, dict | tuple) else v for v in msgspec.structs.astuple(source)]


async def save(db: "aiosqlite.Connection", sources: Iterable[SourceInfo]) -> None:
    await db.executemany(
        f"INSERT OR REPLACE INTO sources ({COLUMNS}) VALUES ({_MARKS})", [_to_columns(source) for source in sources]
    )


async def load(db: "aiosqlite.Connection") -> list[SourceInfo]:
    """All of them, without the parsers' states, which are most of it."""
    return [from_columns(row) for row in await db.execute_fetchall(f"SELECT {WITHOUT_STATES} FROM sources")]


async def load_of(db: "aiosqlite.Connection", keys: Sequence[bytes]) -> list[SourceInfo]:
    """The sources of these keys."""
    query = f"SELECT {COLUMNS} FROM sources WHERE source_key IN ({', '.join('?' * _KEYS_PER_QUERY)})"
    found: list[SourceInfo] = []
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = list(keys[start : start + _KEYS_PER_QUERY])
        part += part[-1:] * (_KEYS_PER_QUERY - len(part))  # one statement, however many there are
        found += [from_columns(row) for row in await db.execute_fetchall(query, part)]
    return found


async def load_below(db: "aiosqlite.Connection", folders: Iterable[str]) -> list[SourceInfo]:
    """Sources that lie anywhere below one of these folders."""
    keys: set[bytes] = set()
    for folder in folders:
        within = (folder + os.sep, folder + chr(ord(os.sep) + 1))
        rows = await db.execute_fetchall("SELECT source_key FROM sources WHERE path > ? AND path < ?", within)
        keys.update(row[0] for row in rows)
    return await load_of(db, list(keys))


async def load_at(db: "aiosqlite.Connection", paths: Iterable[str]) -> list[SourceInfo]:
    """Sources that lie at one of these paths, or whose companions do."""
    rows = await db.execute_fetchall(
        "WITH paths AS (SELECT value FROM json_each(?))"
        " SELECT source_key FROM sources WHERE path IN paths"
        " UNION SELECT source_key FROM sources, json_each(companions) AS beside"
        " WHERE companions != '[]' AND beside.value IN paths",
        (msgspec.json.encode(list(paths)).decode(),),
    )
    return await load_of(db, [row[0] for row in rows])
