"""`GET /capabilities`: what this hub can be asked, before anything is (design section 8)."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from trueup_hub import params
from trueup_hub.analytics import activity, heatmap, sessions, top_sessions
from trueup_hub.analytics.buckets import GRANULARITIES
from trueup_hub.analytics.sources import sql
from trueup_hub.analytics.totals import Row, added
from trueup_shared import __version__, digest_sets, prices
from trueup_shared.metrics import COUNTERS, METRICS, Metric
from trueup_shared.wire import CONTENT_TYPE, ENCODINGS, MAX_BATCH_ROWS, MAX_BODY_BYTES, PROTOCOL
from trueup_shared.wire import FEATURES as FEATURES_OF_THE_WIRE

if TYPE_CHECKING:
    from trueup_hub.db import Database

FEATURES = (
    "analytics.activity",
    "analytics.breakdown",
    "analytics.heatmap",
    "analytics.summary",
    "analytics.top-sessions",
    "csv",
    "events",
    "hosts",
    "hosts.forget",
    "hosts.resync",
    "hosts.retire",
    "push.batches",
    "push.rejections",
    *(f"push.{name}" for name in FEATURES_OF_THE_WIRE),
    "sessions",
    "trust",
)

_ADDITIVE = tuple(metric.name for metric in METRICS if metric.additive)
METRICS_BY_ENDPOINT = {
    "summary": tuple(metric.name for metric in METRICS),
    "activity": _ADDITIVE,
    "heatmap": heatmap.SUPPORTED,
    "top-sessions": top_sessions.SUPPORTED,
    "breakdown": (*_ADDITIVE, "peak_context_tokens"),
    "sessions": (*_ADDITIVE, "peak_context_tokens"),
}


class Reported(Struct, frozen=True):
    """How well a counter is known: for none, some or all events, and whether any of them is a bound or derived."""

    reported: Literal["none", "some", "all"]
    lower_bound: bool
    derived: bool


class HostCounters(Struct, frozen=True, kw_only=True):
    host_id: str
    label: str
    harnesses: dict[str, dict[str, Reported]]  # '' = unknown harness


class Capabilities(Struct, frozen=True, kw_only=True):
    """`hash` changes when anything else here does; clients send it back as If-None-Match."""

    version: str
    protocols: tuple[int, int]  # lowest, highest
    digest_sets: tuple[int, int]
    content_types: list[str]
    encodings: list[str]
    limits: dict[str, int]
    features: tuple[str, ...]
    timezone: str  # the hub's, used where none is asked for
    parameters: tuple[str, ...]
    counted: list[str]
    granularities: tuple[str, ...]
    group_by: tuple[str, ...]
    sorts: tuple[str, ...]
    metrics: dict[str, tuple[str, ...]]  # by endpoint
    metric_definitions: tuple[Metric, ...]
    counters: tuple[str, ...]
    harnesses: dict[str, dict[str, Reported]]  # over all hosts
    hosts: list[HostCounters]
    prices: dict[str, str]
    hash: str = ""


async def capabilities(db: "Database", timezone: str) -> Capabilities:
    rows: list[Any] = await db.fetch(sql("capabilities", "counters_by_host"))
    by_harness: dict[str, list[Row]] = {}
    by_host: dict[tuple[str, str], dict[str, dict[str, Reported]]] = {}
    for row in rows:
        host, harness = (str(UUID(bytes=row["host_id"])), row["label"]), row["harness"] or ""
        by_harness.setdefault(harness, []).append(row)
        by_host.setdefault(host, {})[harness] = _reported(row)
    found = Capabilities(
        version=__version__,
        protocols=(PROTOCOL, PROTOCOL),
        digest_sets=digest_sets.known(),
        content_types=[CONTENT_TYPE, "application/json"],
        encodings=list(ENCODINGS),
        limits={
            "batch_rows": MAX_BATCH_ROWS,
            "body_bytes": MAX_BODY_BYTES,
            "activity_points": activity.MAX_POINTS,
            "top_sessions": top_sessions.MAX_LIMIT,
            "sessions": sessions.MAX_LIMIT,
        },
        features=FEATURES,
        timezone=timezone,
        parameters=tuple(parameter.name for parameter in params.COMMON),
        counted=list(params.COUNTED),
        granularities=GRANULARITIES,
        group_by=(*params.DIMENSIONS, f"{params.LABEL}NAME"),
        sorts=sessions.SORTS,
        metrics=METRICS_BY_ENDPOINT,
        metric_definitions=METRICS,
        counters=COUNTERS,
        harnesses={harness: _reported(added(parts)) for harness, parts in sorted(by_harness.items())},
        hosts=[
            HostCounters(host_id=host_id, label=label, harnesses=harnesses)
            for (host_id, label), harnesses in by_host.items()
        ],
        prices={"digest": prices.DIGEST, "date": prices.DATE},
    )
    digest = blake2b(msgspec.json.encode(found, order="sorted"), digest_size=16).hexdigest()
    return msgspec.structs.replace(found, hash=digest)


def _reported(row: Row | None) -> dict[str, Reported]:
    """Words, not counts, so that the hash does not change with every event."""
    if row is None:
        return {}
    return {name: _how_well(row["n"], *(row[f"{kind}_{name}"] for kind in "rld")) for name in COUNTERS}


def _how_well(events: int, reported: int, lower_bound: int, derived: int) -> Reported:
    extent: Literal["none", "some", "all"] = "none" if not reported else "all" if reported == events else "some"
    return Reported(extent, lower_bound > 0, derived > 0)
