"""Who reports what, and how well: which metrics can be known of which harness and host (design section 8)."""

import time
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from msgspec import Struct

from trueup_hub.analytics.sources import sql
from trueup_hub.analytics.totals import Row, added
from trueup_shared.metrics import COUNTERS, METRICS

if TYPE_CHECKING:
    from trueup_hub.db import Database

MAX_HOSTS, MAX_LABELS = 500, 1_000  # listed one by one
_MAX_AGE_SECONDS = 600.0  # what mends sums alone (`trueup hub verify --repair`) changes no ledger
AT_LEAST_TIMES = 20  # as long as it took to sum it is taken for new: 130 ms at 10 million events of 50 hosts
_CACHE = "reporters"

# name -> columns of a usage rollup: how many events reported it, gave a lower bound, derived it
_KINDS: dict[str, tuple[str | None, ...]] = {name: (f"r_{name}", f"l_{name}", f"d_{name}") for name in COUNTERS}
_KINDS["total_tokens"] = ("r_total_tokens", "l_total_tokens", "d_total_tokens")
_KINDS["peak_context_tokens"] = _KINDS["context_tokens"]
_KINDS |= {metric.name: (f"r_{metric.name}", f"l_{metric.name}", None) for metric in METRICS if metric.kind == "money"}
_COLUMNS = ("n", *dict.fromkeys(column for kinds in _KINDS.values() for column in kinds if column))


class Reported(Struct, frozen=True):
    """How well it is known: for none, some or all events, and whether any of them is a bound or derived."""

    reported: Literal["none", "some", "all"]
    lower_bound: bool
    derived: bool


ByName = dict[str, Reported]  # counter, or metric of tokens or money


class HostCounters(Struct, frozen=True, kw_only=True):
    host_id: str
    label: str
    harnesses: dict[str, ByName]  # '' = unknown harness


class Reporters(Struct, frozen=True, kw_only=True):
    """`values`: of filters by host, harness and label, those that can be asked for. What has more than can be listed
    is absent there, and `hosts` has the first."""

    harnesses: dict[str, ByName] = {}  # over all hosts; nothing known of one without counted usage
    hosts: list[HostCounters] = []
    values: dict[str, list[str]] = {}


class _Known(Struct, frozen=True):
    state: str  # of the database, before it was read
    at: float  # when it was
    seconds: float  # how long that took
    found: Reporters


async def reporters(db: "Database") -> Reporters:
    """Summed anew only where something may have changed, for the sums are of every day that there is; and where
    something always does, a small part of the time."""
    known: _Known | None = db.caches.get(_CACHE)
    age = time.monotonic() - known.at if known else 0.0
    if known is not None and age < AT_LEAST_TIMES * known.seconds:
        return known.found
    state: str = await db.fetchval(sql("capabilities", "state_of_reports"))
    if known is not None and known.state == state and age < _MAX_AGE_SECONDS:
        return known.found
    began = time.monotonic()
    found = await _read(db)
    ended = time.monotonic()
    db.caches[_CACHE] = _Known(state, ended, ended - began, found)
    return found


async def _read(db: "Database") -> Reporters:
    async with db.snapshot() as connection:
        rows: list[Any] = await connection.fetch(sql("capabilities", "counters_by_host", _COLUMNS))
        hosts = await connection.fetch(sql("capabilities", "listed_hosts"), MAX_HOSTS + 1)
        read = [name for (name,) in await connection.fetch(sql("capabilities", "harnesses_read"))]
        labels = await connection.fetch(sql("capabilities", "listed_labels"), MAX_LABELS + 1)
    by_harness: dict[str, list[Row]] = {name: [] for name in read}
    by_host: dict[bytes, dict[str, ByName]] = {}
    for row in rows:
        by_harness.setdefault(row["harness"] or "", []).append(row)
        by_host.setdefault(row["host_id"], {})[row["harness"] or ""] = _of(row)
    listed = [
        HostCounters(host_id=str(UUID(bytes=host_id)), label=label, harnesses=by_host.get(host_id, {}))
        for host_id, label in hosts[:MAX_HOSTS]
    ]
    values = {"harness": sorted({"", *by_harness})}
    if len(hosts) <= MAX_HOSTS:
        values["host"] = [*(host.host_id for host in listed), *sorted({host.label for host in listed} - {""})]
    if len(labels) <= MAX_LABELS:
        names = dict.fromkeys(name for name, _ in labels)
        values["label"] = sorted({*(f"{name}:" for name in names), *(f"{name}:{value}" for name, value in labels)})
    return Reporters(
        harnesses={name: _of(added(parts)) for name, parts in sorted(by_harness.items())}, hosts=listed, values=values
    )


def _of(row: Row | None) -> ByName:
    """Words, not counts: what is said changes only where something else is reported."""
    if row is None:
        return {}
    return {
        name: _how_well(row["n"], *(row[column] if column else 0 for column in columns))
        for name, columns in _KINDS.items()
    }


def _how_well(events: int, reported: int, lower_bound: int, derived: int) -> Reported:
    extent: Literal["none", "some", "all"] = "none" if not reported else "all" if reported == events else "some"
    return Reported(extent, lower_bound > 0, derived > 0)
