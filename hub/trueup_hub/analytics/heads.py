"""Who a session is: what lists of sessions show beside their numbers."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct

from trueup_hub.analytics.sources import sql
from trueup_shared.times import SLOT_MICROS, moment

if TYPE_CHECKING:
    from trueup_hub.db import Connection


class HostName(Struct, frozen=True):
    id: str
    label: str


class Head(Struct, frozen=True, kw_only=True):
    """`id` is the hub's, 32 hex digits, the same wherever the session is; `session_id` the producer's own.

    `host`: where the chosen copy is. What no copy says is null.
    """

    id: str
    session_id: str | None
    harness: str | None
    project: str | None
    host: HostName | None
    models: list[str]
    messages: int | None  # of its whole life, also those without a time
    started_at: datetime | None
    last_active_at: datetime | None  # its last 15 minutes with usage
    relationship: str | None
    parent_id: str | None
    git_branch: str | None
    harness_version: str | None
    os_user: str | None


_FIELDS = (
    *("session_id", "relationship", "started_at", "git_branch", "harness_version", "os_user", "harness", "project"),
    "messages",
)


async def heads_of(connection: "Connection", keys: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
    """Fields of Head for each key, also where only usage of the session has come."""
    rows = {row["session_key"]: row for row in await connection.fetch(sql("sessions", "heads"), keys)}
    used = {row["session_key"]: row for row in await connection.fetch(sql("sessions", "models_of_sessions"), keys)}
    return {key: _head(key, rows.get(key), used.get(key)) for key in keys}


def _head(key: bytes, row: Any, used: Any) -> dict[str, Any]:
    host = None if row is None else HostName(str(UUID(bytes=row["host_id"])), row["host_label"])
    parent = None if row is None else row["parent_key"]
    fields: dict[str, Any] = {name: None if row is None else row[name] for name in _FIELDS}
    return fields | {
        "id": key.hex(),
        "host": host,
        "models": (used["models"] if used else None) or [],
        "last_active_at": moment(used["last_slot"] * SLOT_MICROS) if used else None,
        "parent_id": parent.hex() if parent else None,
    }
