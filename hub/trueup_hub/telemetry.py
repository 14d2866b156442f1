"""What `/metrics` tells, for Prometheus: what this process did since it began, and what the database says now.

Names begin with `trueup_`. What is unknown has no sample: it is not 0. Hosts and routes have a handful of series each;
nothing that clients send becomes a label but the names of hosts.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric

from trueup_hub.admission import Turns
from trueup_hub.db import PoolUse
from trueup_hub.reports import HostReport
from trueup_hub.route import Route
from trueup_hub.states import STATES
from trueup_hub.trust import complete_up_to, pending_changes
from trueup_shared import __version__
from trueup_shared.wire import Receipt

_REQUEST_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_BATCH_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
_OUTCOMES = ("inserted", "updated", "unchanged", "removed")
_FLAGS = (
    *("needs_resync", "shared_credential", "rejected", "corrected", "drift_suspected", "old_data", "clock_skew"),
    *("agent_error", "older_agent", "newer_agent", "unknown_versions", "withheld", "readmitted", "forgotten"),
)


class Telemetry:
    """Of one hub process. Several replicas are added up by whoever reads them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "trueup_request_seconds",
            "Time from a request's head to its answer; of streams, how long they went on.",
            ("method", "route", "status"),
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "trueup_batch_seconds",
            "Time in which batches of agents were applied.",
            buckets=_BATCH_SECONDS,
            registry=self._registry,
        )
        self._rows = Counter(
            "trueup_batch_rows", "Rows of batches, as receipts tell.", ("outcome",), registry=self._registry
        )
        for outcome in (*_OUTCOMES, "rejected"):
            self._rows.labels(outcome)

    def request(self, route: Route | None, status: int, seconds: float) -> None:
        """`route` None: the address or the method fits none."""
        method, path = (route.method, route.path) if route is not None else ("other", "none")
        self._requests.labels(method, path, str(status)).observe(seconds)

    def batch(self, receipt: Receipt, seconds: float) -> None:
        self._batches.observe(seconds)
        for outcome in _OUTCOMES:
            self._rows.labels(outcome).inc(getattr(receipt, outcome))
        self._rows.labels("rejected").inc(len(receipt.rejected))

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()


class Exposition:
    """What one scrape gets, as prometheus-client's encoders read it."""

    def __init__(self, parts: Iterable[Iterable[Metric]]) -> None:
        self._families = [family for part in parts for family in part]

    def collect(self) -> list[Metric]:
        return self._families


def build() -> Iterator[Metric]:
    yield InfoMetricFamily("trueup_build", "This hub's release.", {"version": __version__})


def load(pools: dict[str, PoolUse], turns: Turns) -> Iterator[Metric]:
    """How much of what this process has is in use."""
    connections = GaugeMetricFamily(
        "trueup_database_connections", "Connections to the database that are open.", labels=("pool", "state")
    )
    most = GaugeMetricFamily("trueup_database_connections_most", "Connections that a pool may open.", labels=("pool",))
    for name, use in pools.items():
        connections.add_metric((name, "busy"), use.busy)
        connections.add_metric((name, "idle"), use.idle)
        most.add_metric((name,), use.most)
    yield connections
    yield most
    questions = GaugeMetricFamily("trueup_questions", "Questions of viewers that are under way.", labels=("state",))
    questions.add_metric(("answered",), turns.running)
    questions.add_metric(("waiting",), turns.waiting)
    yield questions


def fleet(hosts: Sequence[HostReport], now: datetime) -> Iterator[Metric]:
    """All hosts together: the numbers of the trust block (trust.py)."""
    states = GaugeMetricFamily("trueup_hosts", "Hosts by state.", labels=("state",))
    counted = Tally(host.state for host in hosts)
    for state in STATES:
        states.add_metric((state,), counted[state])
    yield states
    flags = GaugeMetricFamily("trueup_hosts_flagged", "Hosts that have a flag.", labels=("flag",))
    for flag in _FLAGS:
        flags.add_metric((flag,), sum(host.flagged(flag) for host in hosts))
    yield flags
    expected, live = _expected(hosts), [ledger for host in hosts for ledger in host.live]
    yield GaugeMetricFamily(
        "trueup_pending_changes", "Changes that ledgers have and the hub has not.", sum(map(pending_changes, expected))
    )
    yield GaugeMetricFamily("trueup_rejected_rows", "Rows that count nowhere.", sum(one.rejected for one in live))
    diverged = sum(ledger.state == "diverged" for ledger in live)
    yield GaugeMetricFamily("trueup_ledgers_diverged", "Ledgers that differ from what the hub has of them.", diverged)
    corrected = sum(ledger.corrected for host in hosts for ledger in host.ledgers)
    yield GaugeMetricFamily("trueup_corrected_rows", "Rows that were ever found altered or lost at the hub.", corrected)
    complete = [complete_up_to(host) for host in expected]
    known = [at for at in complete if at is not None]
    lag = GaugeMetricFamily(
        "trueup_lag_seconds", "Since when the hub may lack something of some host; no sample: nobody knows."
    )
    if known and len(known) == len(complete):
        lag.add_metric((), _seconds_since(min(known), now))
    yield lag


def each_host(hosts: Sequence[HostReport], now: datetime) -> Iterator[Metric]:
    """One sample of each for every host of which anything is expected."""
    labels = ("host_id", "host")
    lag = GaugeMetricFamily(
        "trueup_host_lag_seconds", "Since when the hub may lack something of the host.", labels=labels
    )
    seen = GaugeMetricFamily("trueup_host_silent_seconds", "Since when nothing was heard of the host.", labels=labels)
    pending = GaugeMetricFamily(
        "trueup_host_pending_changes", "Changes that its ledgers have and the hub has not.", labels=labels
    )
    for host in _expected(hosts):
        place = (str(host.host_id), host.label)
        if (complete := complete_up_to(host)) is not None:
            lag.add_metric(place, _seconds_since(complete, now))
        if host.last_seen_at is not None:
            seen.add_metric(place, _seconds_since(host.last_seen_at, now))
        pending.add_metric(place, pending_changes(host))
    return iter((lag, seen, pending))


def _expected(hosts: Sequence[HostReport]) -> list[HostReport]:
    return [host for host in hosts if host.state != "retired"]


def _seconds_since(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())  # clocks of hub and database may differ a little
