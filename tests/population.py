"""Stored rows of a hub, and what they add up to by plain Python.

No rollup is asked. That the right copies count is what `verify` says.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from trueup_hub.analytics.totals import Coverage, Totals
from trueup_hub.db import Database
from trueup_hub.params import DIMENSIONS, Common
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, COUNTERS, TOTAL_BITS, TOTAL_PARTS
from trueup_shared.money import micro

Record = dict[str, Any]


class Rows(NamedTuple):
    """Stored rows: dimensions by name ('' = unknown), labels of the host, and whether the row counts once."""

    events: list[Record]
    messages: list[Record]
    starts: list[Record]

    def split(self, key: Callable[[Record], Any]) -> "dict[Any, Rows]":
        """The rows by what `key` says of each."""
        found: dict[Any, Rows] = {}
        for n, rows in enumerate(self):
            for row in rows:
                found.setdefault(key(row), Rows([], [], []))[n].append(row)
        return found


class Facts(NamedTuple):
    """All rows of a database that is only read."""

    db: Database
    rows: Rows

    def __repr__(self) -> str:
        return f"<{len(self.rows.events)} events>"  # hypothesis prints it with every failure


_NAMES = """h.label AS host, h.labels, (SELECT term FROM terms WHERE term_no = f.harness) AS harness,
 (SELECT term FROM terms WHERE term_no = f.project) AS project"""
_MODEL = "(SELECT term FROM terms WHERE term_no = f.model) AS model"
_EVENTS = f"""SELECT f.*, f.counted AS once, l.ledger_id, {_NAMES}, {_MODEL},
 (SELECT term FROM terms WHERE term_no = f.provider) AS provider,
 (SELECT term FROM terms WHERE term_no = f.reported_cost_unit) AS unit
 FROM events f JOIN hosts h USING (host_no) JOIN ledgers l USING (ledger_no) WHERE NOT f.stale"""
_MESSAGES = f"""SELECT f.at, f.tool_names, f.session_key, s.chosen AS once, {_NAMES}, {_MODEL}, '' AS provider,
 r.term = 'user' AND k.term = 'prompt' AS prompted
 FROM messages f JOIN hosts h USING (host_no) JOIN sessions s USING (host_no, ledger_no, session_key)
 JOIN terms r ON r.term_no = f.role JOIN terms k ON k.term_no = f.kind WHERE NOT f.stale AND f.at IS NOT NULL"""
_STARTS = f"""SELECT f.started_at AS at, f.session_key, f.messages, f.chosen AS once, {_NAMES}, '' AS model,
 '' AS provider FROM sessions f JOIN hosts h USING (host_no) WHERE NOT f.stale AND f.started_at IS NOT NULL"""


async def rows_of(db: Database) -> Rows:
    return Rows(*[[_named(row) for row in await db.fetch(sql)] for sql in (_EVENTS, _MESSAGES, _STARTS)])


def _named(row: Any) -> Record:
    """The last of columns with one name wins: numbers of dimensions give way to their names."""
    return dict(zip(row.keys(), row.values(), strict=True))


def chosen(rows: Rows, common: Common, first: date, last: date) -> Rows:
    """What a request counts, by its range, zone, filters, labels and `counted`."""

    def fits(row: Record) -> bool:
        return (
            (row["once"] or common.counted == "all")
            and all(row[name] in values for name, values in common.filters.items())
            and all(row["labels"].get(name, "") in values for name, values in common.labels.items())
            and first <= local_day(row, common) <= last
        )

    return Rows(*([row for row in kind if fits(row)] for kind in rows))


def local_day(row: Record, common: Common) -> date:
    day: date = row["at"].astimezone(common.zone).date()
    return day


def total(values: Iterable[int | None]) -> int | None:
    """A sum over nothing known is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def totals_of(rows: Rows) -> Record:
    """Every field of `Totals`; money in whole microdollars, rounded once."""
    return usage_of(rows.events) | {
        "messages": len(rows.messages),
        "user_messages": sum(row["prompted"] for row in rows.messages),
        "tool_calls": sum(len(row["tool_names"] or []) for row in rows.messages),
        "sessions": len(rows.starts),
    }


def usage_of(events: Sequence[Record]) -> Record:
    found: Record = {name: total(row[name] for row in events) for name in ADDITIVE_COUNTERS}
    found["total_tokens"] = total(row[name] for row in events for name in TOTAL_PARTS)
    for name in ("cost", "cache_savings"):
        nanos = total(row[f"{name}_nanousd"] for row in events)
        found[f"{name}_microusd"] = None if nanos is None else micro(nanos)
    dollars, credits = (
        [_billionths(row["reported_cost"]) for row in events if row["unit"] == unit] for unit in ("usd", "credits")
    )
    found["reported_cost_microusd"] = None if (nanos := total(dollars)) is None else micro(nanos)
    found["reported_credits"] = None if (billionths := total(credits)) is None else billionths / 10**9
    unpriced = [row[name] or 0 for row in events if row["cost_nanousd"] is None for name in TOTAL_PARTS]
    return found | {"unpriced_tokens": sum(unpriced)}


def peak_of(events: Sequence[Record]) -> int | None:
    return max((row["context_tokens"] for row in events if row["context_tokens"] is not None), default=None)


def _billionths(text: str | None) -> int | None:
    if text is None:
        return None
    whole, _, fraction = text.partition(".")
    assert len(fraction) <= 9  # what these rows have needs no rounding
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def coverage_of(events: Sequence[Record]) -> dict[str, tuple[int, int, int, int]]:
    """(events, reported, lower_bound, derived) of everything that has a coverage."""

    def bits(row: Record, kind: str, mask: int) -> bool:
        return bool((row[kind] or 0) & mask)

    def covered(of: Callable[[Record], bool], mask: int, derived: int) -> tuple[int, int, int, int]:
        known = [row for row in events if of(row)]
        lower = sum(bits(row, "lower_bounds", mask) for row in known)
        return len(events), len(known), lower, sum(bits(row, "derived", derived) for row in known)

    found = {name: covered(lambda row, name=name: row[name] is not None, BIT[name], BIT[name]) for name in COUNTERS}  # type: ignore[misc]
    complete = sum(
        row["undivided_tokens"] is not None
        or (row["output_tokens"] is not None and (row["input_tokens"], row["input_undivided_tokens"]) != (None, None))
        for row in events
    )
    lower, derived = (sum(bits(row, kind, TOTAL_BITS) for row in events) for kind in ("lower_bounds", "derived"))
    found["total_tokens"] = (len(events), complete, lower, derived)
    cached = BIT["cache_read_tokens"] | BIT["cache_write_tokens"]
    priced = cached | BIT["input_tokens"] | BIT["output_tokens"]
    for name, mask in (("cost", priced), ("cache_savings", cached)):
        found[f"{name}_microusd"] = covered(lambda row, name=name: row[f"{name}_nanousd"] is not None, mask, 0)  # type: ignore[misc]
    dollars = sum(row["reported_cost"] is not None and row["unit"] == "usd" for row in events)
    return found | {"reported_cost_microusd": (len(events), dollars, 0, 0)}


def known(found: dict[str, Coverage]) -> dict[str, tuple[int, int, int, int]]:
    """Coverage of an answer, as `coverage_of` has it."""
    return {name: (one.events, one.reported, one.lower_bound, one.derived) for name, one in found.items()}


ROUNDED = ("cost_microusd", "cache_savings_microusd", "reported_cost_microusd")


def assert_adds_up(parts: Sequence[Totals], expected: Record, what: object) -> None:
    """Parts that may be rounded to the microdollar differ from the whole by half of one each."""
    for name in Totals.__struct_fields__:
        found = total(getattr(part, name) for part in parts)
        value = expected[name]
        if value is None or found is None or name not in (*ROUNDED, "reported_credits"):
            assert (found or 0 if value == 0 else found) == value, (what, name)
        else:
            slack = (len(parts) + 1) / 2 if name in ROUNDED else 1e-6
            assert abs(found - value) <= slack, (what, name)


def dimension(row: Record, by: str) -> str:
    """The value by which a row is divided; '' = unknown."""
    value: str = row["labels"].get(by.removeprefix("label:"), "") if by.startswith("label:") else row[by]
    return value


BY = (*DIMENSIONS, "label:team", "label:site")
