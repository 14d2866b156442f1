"""SQL blocks of reads, with what stands in braces filled in: filters, sums, and the relations that they count."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from trueup_hub import sqlfiles
from trueup_hub.analytics.totals import TOTAL_REPORTED, ended_sql, sums_sql
from trueup_hub.ingest.cells import SEVERAL
from trueup_hub.ingest.measures import MEASURES, RANKED
from trueup_hub.ingest.verify import spread_events
from trueup_shared.metrics import METRICS

SESSION_COLUMNS = ("host_no", "session_key", "slot", "harness", "provider", "model", "project", *MEASURES)

_COLUMNS = ("host_no", "harness", "project", "model", "provider")  # of $3 … $7, as params.DIMENSIONS
_SET_ASIDE = "NOT counted AND NOT stale"
_SUMMED = {m.name: f"r_{m.name}" for m in METRICS if m.additive and m.kind != "count"} | {
    "total_tokens": TOTAL_REPORTED
}
_IN_RANGE = "at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)"


def _filters(columns: Sequence[str], and_also: str = "") -> str:
    """Conditions that $3 … $7 set on these columns; `and_also`: what else each lets through."""
    return " AND ".join(
        f"(${n}::int4[] IS NULL OR {column} = ANY (${n}){and_also.format(column=column)})"
        for n, column in enumerate(columns, 3)
    )


_FILTERS = _filters(_COLUMNS)
# Of sessions by what they are as a whole: exactly, or perhaps, where they have several
_PLACED, _PERHAPS = _filters(_COLUMNS[:3]), _filters(_COLUMNS[:3], f" OR {{column}} = {SEVERAL}")
_SPLIT_BY_FILTER = " OR ".join(
    f"(${n}::int4[] IS NOT NULL AND {column} = {SEVERAL})" for n, column in enumerate(_COLUMNS[:3], 3)
)


class Quality(NamedTuple):
    """Which requests sessions must have to be listed. `counter`: of those of the first kinds."""

    name: str
    counter: str | None = None


# name -> how many requests of a cell of usage are in question; of `unpriced` how many tokens
OF_COUNTER = {"unreported": "n - r_{counter}", "lower_bound": "l_{counter}", "derived": "d_{counter}"}
_IN_QUESTION = OF_COUNTER | {"unpriced": "unpriced_tokens"}
QUALITIES = (*_IN_QUESTION, "old_data", "set_aside", "conflicting")


class Reading(NamedTuple):
    """How the blocks of a scope are filled in. `whole_sessions`: no filter divides what a session used by model or
    provider, so that session_totals answers. `measures`: those that any counted event had, None = perhaps all."""

    counted: str = "once"
    whole_sessions: bool = False
    measures: frozenset[str] | None = None
    quality: Quality | None = None


# A session once; where every copy counts it is not known yet which of them is the chosen one.
_STARTED = {
    "once": "session_key, started_at, messages",
    "all": "DISTINCT session_key, NULL::timestamptz AS started_at, NULL::int4 AS messages",
}


def sql(
    module: str,
    name: str,
    columns: Sequence[str] = MEASURES,
    *,
    key: str = "0",
    groups: str = "2",
    table: str = "usage_slots",
    counted: str = "once",
    reading: Reading | None = None,
) -> str:
    """A block of `sql/<module>.sql`. {sums}: of `columns` of a usage rollup; {key}: number of a row's group, of which
    {groups} are the columns; {rollup}:
    `table` or, with a zone's number as in `usage_days 2`, its days, inside the range and filters. `reading`: as a scope
    reads, in place of `counted`."""
    return _sql(module, name, tuple(columns), (key, groups), table, reading or Reading(counted))


@cache
def _sql(module: str, name: str, columns: tuple[str, ...], key: tuple[str, str], table: str, reading: Reading) -> str:
    block = sqlfiles.load(module)[name]
    for word, text in {
        "rollup": _rollup(table),
        "bucket": _bucket(table),
        "used_sessions": _used_sessions(reading),
        "session_usage": _session_usage(reading.counted),
        "split_cells": _SPLIT_CELLS,
        "placed": _PLACED,
        "perhaps": _PERHAPS,
        "split_by_filter": _SPLIT_BY_FILTER,
        "usage_of_copies": _usage_of_copies(reading.counted),
        "events_of_copies": _events_of_copies(),
        "metric_sum": _of_metric({name: f"s_{name}" for name in _SUMMED}),
        "metric_reported": _of_metric(_SUMMED),
        "set_aside": spread_events(f"{_SET_ASIDE} AND {_IN_RANGE} AND {_FILTERS}"),
        "chosen": "true" if reading.counted == "all" else "chosen",
        "started": _STARTED[reading.counted],
        "of_quality": "NULL::int8" if reading.quality is None else "of_quality",
        "having_quality": "" if reading.quality is None else _having(reading.quality, reading),
        "filters": _FILTERS,
        "total_reported": TOTAL_REPORTED,
        "key": key[0],
        "groups": key[1],
        "sums": _sums(columns, reading.measures),
    }.items():
        block = block.replace(f"{{{word}}}", text)
    return block


def _having(quality: Quality, reading: Reading) -> str:
    """Leaves of sessions those that have requests of a quality, with how many."""
    blocks = sqlfiles.load("quality")
    block = blocks[quality.name if quality.name in blocks else "of_usage"]
    in_question = _IN_QUESTION.get(quality.name, "").format(counter=quality.counter)
    if reading.measures is not None and in_question in MEASURES and in_question not in reading.measures:
        in_question = "0"  # no request ever had it
    for word, text in {
        "in_question": in_question,
        "session_usage": _session_usage(reading.counted),
        "filters": _FILTERS,
    }.items():
        block = block.replace(f"{{{word}}}", text)
    return f"RIGHT JOIN ({block}) having_quality USING (session_key)"


def _sums(columns: Sequence[str], measures: frozenset[str] | None) -> str:
    if measures is None:
        return sums_sql(columns)
    return ", ".join(
        sums_sql((column,)) if column in measures else f"{_NOTHING.get(column, '0::int8')} AS {column}"
        for column in columns
    )


_NOTHING = {"max_context_tokens": "NULL::int8"}
_WITHOUT = {"usage_days": "project", "activity_slots": "provider", "activity_days": "provider"}


def _rollup(table: str) -> str:
    """Relation: cells inside the range ($1, $2) and the filters. What a rollup does not know is not filtered by: days
    know no project, messages have no provider."""
    name, _, zone = table.partition(" ")
    columns = ["0" if _WITHOUT.get(name) == column else column for column in _COLUMNS]
    inside = f"zone_no = {zone} AND day >= $1::date AND day <= $2::date" if zone else "slot >= $1 AND slot < $2"
    return f"{name} WHERE {inside} AND {_filters(columns)}"


def _bucket(table: str) -> str:
    """Bounds are $8: of slots one more than buckets, of days the first day of each."""
    kind, at, beyond = ("date", "day", 1) if " " in table else ("int4", "slot", 2)
    several = f"width_bucket({at}, $8::{kind}[]) - 1"
    return f"CASE WHEN cardinality($8::{kind}[]) = {beyond} THEN 0 ELSE {several} END"


def _session_usage(counted: str) -> str:
    """Relation: usage of sessions inside the range ($1, $2) and filters ($3 … $7), with SESSION_COLUMNS."""
    names = ", ".join(SESSION_COLUMNS)
    once = f"SELECT {names} FROM session_slots WHERE slot >= $1 AND slot < $2 AND {_FILTERS}"
    if counted == "once":
        return f"({once}) session_usage"
    aside = spread_events(f"{_SET_ASIDE} AND {_IN_RANGE} AND {_FILTERS}")
    return f"({once} UNION ALL SELECT {names} FROM ({aside}) aside) session_usage"


# Cells, inside the range and filters, of the sessions `split`; by host, for the key of session_slots begins so
_SPLIT_CELLS = f"""split CROSS JOIN LATERAL (
  SELECT DISTINCT c.host_no FROM sessions c WHERE c.session_key = split.session_key
) copies CROSS JOIN LATERAL (
  SELECT * FROM session_slots s WHERE s.host_no = copies.host_no AND s.session_key = split.session_key
    AND slot >= $1 AND slot < $2 AND {_FILTERS.replace("host_no", "s.host_no")} OFFSET 0
) cells"""


# Of the types that session_totals has: else every row of it is converted, and passes through two more steps of the plan
_RANKED_SUMS = ", ".join(
    sums_sql((m,)) if m.startswith(("s_", "max_")) else f"least(sum({m}), {2**31 - 1})::int4 AS {m}" for m in RANKED
)


def _used_sessions(reading: Reading) -> str:
    """Relation: a row for each session that used anything inside the range and filters: session_key, last_slot and
    RANKED. Most lie inside the range, whole, as they are in session_totals; the others are added up from their cells,
    and so are, where every copy counts, those that have copies set aside."""
    summed = f"session_key, max(slot) AS last_slot, {_RANKED_SUMS}"
    if not reading.whole_sessions:
        return f"(SELECT {summed} FROM {_session_usage(reading.counted)} GROUP BY session_key) used_sessions"
    ended, names = ", ".join(map(ended_sql, RANKED)), ", ".join(("session_key", "slot", *RANKED))
    split = f"""SELECT session_key FROM session_totals WHERE last_slot >= $1 AND first_slot < $2 AND {_PERHAPS}
      AND (first_slot < $1 OR last_slot >= $2 OR {_SPLIT_BY_FILTER})"""
    aside = f"SELECT {names} FROM ({spread_events(f'{_SET_ASIDE} AND {_IN_RANGE} AND {_FILTERS}')}) aside"
    cells = f"SELECT {', '.join(f'cells.{name}' for name in ('session_key', 'slot', *RANKED))} FROM {_SPLIT_CELLS}"
    begin, whole = f"WITH split AS ({split})", ""
    if reading.counted == "all":
        begin = f"WITH aside AS MATERIALIZED ({aside}), split AS ({split} UNION SELECT session_key FROM aside)"
        cells, whole = (
            f"{cells} UNION ALL SELECT * FROM aside",
            "AND session_key NOT IN (SELECT session_key FROM split)",
        )
    return f"""({begin}
    SELECT session_key, last_slot, {ended} FROM session_totals
    WHERE first_slot >= $1 AND last_slot >= $1 AND last_slot < $2 AND {_PLACED} AND NOT ({_SPLIT_BY_FILTER}) {whole}
    UNION ALL SELECT {summed} FROM ({cells}) cells GROUP BY session_key) used_sessions"""


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
