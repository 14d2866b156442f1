"""Running totals: what every harness emits that reports a sum instead of its requests (records.SERIES)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.records import SERIES, EventRecord
from trueup_shared import keys

_encode = msgspec.json.Encoder().encode


def series_key(harness: str, session_id: str, *sub: str) -> bytes:
    """`keys.series_key`, of the part of a session that `sub` names where it has several totals."""
    return keys.key("series", harness, session_id, *sub) if sub else keys.series_key(harness, session_id)


def observation(
    harness: str, series: Sequence[str], vector: Sequence[int | str | None], usage: Usage, **fields: Any
) -> EventRecord:
    """A running total as it was seen: `usage` is the sum of all requests so far, not the difference to the last one.

    `series`: the producer's id of the session, and what names the part of it that this total speaks of. `vector`: the
    total as logged; the key holds it, so that seeing it again changes nothing.
    """
    identity = (*series, *vector)
    family = series_key(harness, *series)
    return EventRecord(
        key=keys.event_key(harness, *identity),
        harness=harness,
        family=family,
        owner_key=family,
        rule=SERIES,
        identity=_encode(identity).decode(),
        **msgspec.structs.asdict(usage),
        **fields,
    )
