"""What the numbers of ledgers and terms in rows are called."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from trueup_hub.analytics.heads import HostName
from trueup_hub.analytics.sources import sql

if TYPE_CHECKING:
    from trueup_hub.db import Connection


class Place(Struct, frozen=True):
    """Where a row is: a ledger, and its host."""

    host: HostName
    ledger_id: str


async def places(connection: "Connection", ledger_numbers: Iterable[int | None]) -> dict[int | None, Place]:
    wanted = list({number for number in ledger_numbers if number is not None})
    rows = await connection.fetch(sql("session", "places"), wanted)
    return {
        row["ledger_no"]: Place(
            HostName(str(UUID(bytes=row["host_id"])), row["label"]), str(UUID(bytes=row["ledger_id"]))
        )
        for row in rows
    }


async def terms(connection: "Connection", numbers: Iterable[int | None]) -> dict[int | None, str | None]:
    """'' is unknown: None, as is what has no number."""
    wanted = list({number for number in numbers if number is not None})
    rows = await connection.fetch(sql("session", "terms"), wanted)
    found: dict[int | None, str | None] = {row["term_no"]: row["term"] for row in rows}
    return found | {None: None}
