"""SQL blocks of reads, with what stands in braces filled in: filters, sums, and the relations that they count."""

from collections.abc import Sequence
from functools import cache

from trueup_hub import sqlfiles
from trueup_hub.analytics.totals import TOTAL_REPORTED, sums_sql
from trueup_hub.ingest.measures import MEASURES
from trueup_hub.ingest.verify import spread_events
from trueup_shared.metrics import ADDITIVE_COUNTERS

SESSION_COLUMNS = ("host_no", "session_key", "slot", "harness", "provider", "model", "project", *MEASURES)

_FILTERS = " AND ".join(
    f"(${n}::int4[] IS NULL OR {column} = ANY (${n}))"
    for n, column in enumerate(("host_no", "harness", "project", "model", "provider"), 3)  # as params.DIMENSIONS
)
_SET_ASIDE = "NOT counted AND NOT stale"
_SUMMED = {name: f"r_{name}" for name in (*ADDITIVE_COUNTERS, "cost", "cache_savings")} | {
    "total_tokens": TOTAL_REPORTED
}
_IN_RANGE = "at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)"


def sql(module: str, name: str, columns: Sequence[str] = MEASURES, *, key: str = "0", counted: str = "once") -> str:
    """A block of `sql/<module>.sql`. {sums}: of `columns` of a usage rollup; {key}: number of a row's group."""
    return _sql(module, name, tuple(columns), key, counted)


@cache
def _sql(module: str, name: str, columns: tuple[str, ...], key: str, counted: str) -> str:
    block = sqlfiles.load(module)[name]
    for word, text in {
        "session_usage": _session_usage(counted),
        "usage_of_copies": _usage_of_copies(counted),
        "events_of_copies": _events_of_copies(),
        "metric_sum": _of_metric({name: f"s_{name}" for name in _SUMMED}),
        "metric_reported": _of_metric(_SUMMED),
        "set_aside": spread_events(f"{_SET_ASIDE} AND {_IN_RANGE} AND {_FILTERS}"),
        "chosen": "true" if counted == "all" else "chosen",
        "filters": _FILTERS,
        "total_reported": TOTAL_REPORTED,
        "key": key,
        "sums": sums_sql(columns),
    }.items():
        block = block.replace(f"{{{word}}}", text)
    return block


def _session_usage(counted: str) -> str:
    """Relation: usage of sessions inside the range ($1, $2) and filters ($3 … $7), with SESSION_COLUMNS."""
    names = ", ".join(SESSION_COLUMNS)
    once = f"SELECT {names} FROM session_slots WHERE slot >= $1 AND slot < $2 AND {_FILTERS}"
    if counted == "once":
        return f"({once}) session_usage"
    aside = spread_events(f"{_SET_ASIDE} AND {_IN_RANGE} AND {_FILTERS}")
    return f"({once} UNION ALL SELECT {names} FROM ({aside}) aside) session_usage"


def _of_metric(columns: dict[str, str]) -> str:
    """What of a row of usage metric $8 adds up; null for other metrics."""
    cases = " ".join(f"WHEN '{name}' THEN {column}" for name, column in columns.items())
    return f"CASE $8::text {cases} END"


def _events_of_copies() -> str:
    """Relation: events of `copies` (host_no, ledger_no, session_key), counted or not, spread out to measures."""
    of_copy = "e.host_no = copies.host_no AND e.ledger_no = copies.ledger_no AND e.session_key = copies.session_key"
    return f"copies CROSS JOIN LATERAL ({spread_events(f'NOT stale AND {of_copy}')} OFFSET 0) used"


def _usage_of_copies(counted: str) -> str:
    """Relation: usage of `copies` (host_no, session_key), whenever; by host, for the key of session_slots begins so."""
    names = ", ".join(SESSION_COLUMNS)
    of_copy = "s.host_no = copies.host_no AND s.session_key = copies.session_key"
    once = f"SELECT {names} FROM session_slots s WHERE {of_copy}"
    if counted == "all":
        aside = spread_events(f"{_SET_ASIDE} AND e.host_no = copies.host_no AND e.session_key = copies.session_key")
        once = f"{once} UNION ALL SELECT {names} FROM ({aside}) aside"
    return f"copies CROSS JOIN LATERAL ({once} OFFSET 0) used"
