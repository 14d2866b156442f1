"""Digest sets: which fields travel and count in digests (design section 5). Both sides use the highest that both know.

A set is a number, and for each table the highest field in it. Frozen once released: a field added later needs another.
"""

from collections.abc import Callable
from functools import lru_cache

import msgspec

from trueup_shared import keys, wire

FIELD_SETS = {1: {keys.SESSIONS: 9, keys.MESSAGES: 10, keys.EVENTS: 26}}

_TABLES: tuple[tuple[int, str, type[wire.Body]], ...] = (
    (keys.SESSIONS, "sessions", wire.SessionBody),
    (keys.MESSAGES, "messages", wire.MessageBody),
    (keys.EVENTS, "events", wire.EventBody),
)


def known() -> tuple[int, int]:
    """The lowest and the highest that this release knows."""
    return min(FIELD_SETS), max(FIELD_SETS)


def newest() -> int:
    return max(FIELD_SETS)


def common(theirs: tuple[int, int]) -> int | None:
    """The highest that both sides know; None where there is none."""
    shared = [number for number in FIELD_SETS if theirs[0] <= number <= theirs[1]]
    return max(shared, default=None)


@lru_cache(maxsize=64)
def _beyond(kind: type[wire.Body], highest: int) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if int(field.encode_name) > highest)


def within(table: int, body: wire.Body, digest_set: int) -> wire.Body:
    """`body` without the fields that are not in the set."""
    beyond = _beyond(type(body), FIELD_SETS[digest_set][table])
    return msgspec.structs.replace(body, **dict.fromkeys(beyond)) if beyond else body


def encoder(table: int, digest_set: int) -> Callable[[wire.Body], bytes]:
    """`wire.encode_body`, of what is in the set."""
    kind = next(kind for number, _, kind in _TABLES if number == table)
    if not _beyond(kind, FIELD_SETS[digest_set][table]):
        return wire.encode_body
    return lambda body: wire.encode_body(within(table, body, digest_set))


def withheld(digest_set: int) -> list[str]:
    """Fields of this release that do not travel in the set, as `events.27`."""
    return [
        f"{name}.{field.encode_name}"
        for table, name, kind in _TABLES
        for field in msgspec.structs.fields(kind)
        if int(field.encode_name) > FIELD_SETS[digest_set][table]
    ]
