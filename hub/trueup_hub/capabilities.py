"""`GET /capabilities`: what this hub can be asked, before anything is (design section 8)."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trueup_hub import params
from trueup_hub.analytics import activity, breakdown, heatmap, hour_of_week, messages, sessions, summary, top_sessions
from trueup_hub.analytics.buckets import GRANULARITIES
from trueup_hub.analytics.totals import Totals
from trueup_hub.pricing import Facts, facts
from trueup_hub.reporters import MAX_HOSTS, MAX_LABELS, ByName, HostCounters, Reporters, reporters
from trueup_hub.route import Route
from trueup_shared import __version__, digest_sets
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.metrics import COUNTERS, METRICS, Metric
from trueup_shared.wire import CONTENT_TYPE, ENCODINGS, MAX_BATCH_ROWS, MAX_BODY_BYTES, PROTOCOL
from trueup_shared.wire import FEATURES as FEATURES_OF_THE_WIRE

if TYPE_CHECKING:
    from trueup_hub.db import Database

_API = "/api/v1/"
# Beside a feature for each route of analytics.
_FEATURES = (
    "csv",
    "etags",
    "events",
    "hosts",
    "hosts.enroll",
    "hosts.forget",
    "hosts.resync",
    "hosts.retire",
    "push.batches",
    "push.rejections",
    *(f"push.{name}" for name in FEATURES_OF_THE_WIRE),
    "rejections",
    "sessions",
    "sessions.messages",
    "sessions.usage",
    "sources",
    "trust",
)


def _carried(answer: type[Struct]) -> tuple[str, ...]:
    """Metrics that an answer has of itself: in its `totals`, or as a field of its own."""
    fields = {*answer.__struct_fields__, *Totals.__struct_fields__}
    return tuple(m.name for m in METRICS if {m.name, f"{m.name}_microusd"} & fields)


# Endpoints with `metric=` say which they take; the others have theirs in what they answer.
METRICS_BY_ENDPOINT = {
    "summary": _carried(summary.Summary),
    "activity": _carried(activity.Point),
    "heatmap": heatmap.SUPPORTED,
    "hour-of-week": hour_of_week.SUPPORTED,
    "top-sessions": top_sessions.SUPPORTED,
    "breakdown": _carried(breakdown.Part),
    "sessions": _carried(sessions.SessionItem),
}


class Takes(Struct, frozen=True, omit_defaults=True):
    """What may be given for a parameter: by `kind`, one of `choices` (of a dimension also `label:NAME`), or from
    `lowest` to `highest`. `default` absent = not asked, or `needed`."""

    kind: str
    choices: tuple[str, ...] = ()
    lowest: int = 0
    highest: int = 0
    default: str | int | None = None
    needed: bool = False


class Capabilities(Struct, frozen=True, kw_only=True):
    """`hash` changes when anything else here does; clients send it back as If-None-Match. `hosts`, `harnesses` and
    `values` are empty for the credential of a host."""

    version: str
    protocols: tuple[int, int]  # lowest, highest
    digest_sets: tuple[int, int]
    content_types: list[str]
    encodings: list[str]
    limits: dict[str, int]
    features: tuple[str, ...]
    timezone: str  # the hub's, used where none is asked for
    days: tuple[str, str]  # first and last that can be asked for
    routes: dict[str, dict[str, Takes]]  # path below /api/v1/ -> parameters
    parameters: tuple[str, ...]  # common to all analytics
    counted: list[str]
    granularities: tuple[str, ...]
    group_by: tuple[str, ...]
    sorts: tuple[str, ...]
    metrics: dict[str, tuple[str, ...]]  # by endpoint
    metric_definitions: tuple[Metric, ...]
    counters: tuple[str, ...]
    data_versions: dict[str, int]  # harness -> the newest that this hub knows
    harnesses: dict[str, ByName]  # over all hosts: counters and metrics
    hosts: list[HostCounters]  # the first `limits.hosts_listed`
    values: dict[str, list[str]]  # of filters, where all can be listed: host, harness, label
    prices: Facts
    hash: str = ""


async def capabilities(db: "Database", timezone: str, routes: Iterable[Route], *, of_all: bool = True) -> Capabilities:
    """`routes`: all of the hub. `of_all`: with what hosts report, which a host is not told of others."""
    return document(timezone, list(routes), await reporters(db) if of_all else Reporters(), await facts(db))


def document(timezone: str, routes: list[Route], reported: Reporters, prices: Facts) -> Capabilities:
    """Everything but what is read from the database follows from this release."""
    found = Capabilities(
        version=__version__,
        protocols=(PROTOCOL, PROTOCOL),
        digest_sets=digest_sets.known(),
        content_types=[CONTENT_TYPE, "application/json"],
        encodings=list(ENCODINGS),
        limits=_limits(),
        features=_features(routes),
        timezone=timezone,
        days=(params.FIRST_DAY.isoformat(), params.LAST_DAY.isoformat()),
        routes=_routes(routes),
        parameters=tuple(parameter.name for parameter in params.COMMON),
        counted=list(params.COUNTED),
        granularities=GRANULARITIES,
        group_by=(*params.DIMENSIONS, f"{params.LABEL}NAME"),
        sorts=sessions.SORTS,
        metrics=METRICS_BY_ENDPOINT,
        metric_definitions=METRICS,
        counters=COUNTERS,
        data_versions=DATA_VERSIONS,
        harnesses=reported.harnesses,
        hosts=reported.hosts,
        values=reported.values,
        prices=prices,
    )
    digest = blake2b(msgspec.json.encode(found, order="sorted"), digest_size=16).hexdigest()
    return msgspec.structs.replace(found, hash=digest)


def _limits() -> dict[str, int]:
    return {
        "batch_rows": MAX_BATCH_ROWS,
        "body_bytes": MAX_BODY_BYTES,
        "activity_points": activity.MAX_POINTS,
        "top_sessions": top_sessions.MAX_LIMIT,
        "sessions": sessions.MAX_LIMIT,
        "messages": messages.MAX_LIMIT,
        "hosts_listed": MAX_HOSTS,
        "labels_listed": MAX_LABELS,
    }


def _features(routes: list[Route]) -> tuple[str, ...]:
    of_analytics = {
        route.path.removeprefix(_API).replace("/", ".") for route in routes if f"{_API}analytics/" in route.path
    }
    return tuple(sorted({*_FEATURES, *of_analytics}))


def _routes(routes: list[Route]) -> dict[str, dict[str, Takes]]:
    """What readers may ask: every route for them, with its parameters."""
    return {
        route.path.removeprefix(_API): {
            p.name: Takes(p.kind, p.choices, p.lowest, p.highest, p.default, p.needed) for p in route.takes
        }
        for route in routes
        if route.path.startswith(_API)
        and route.method == "GET"
        and route.need in ("viewer", "anybody")
        and route.takes is not None
    }
