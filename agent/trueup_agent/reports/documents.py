"""A report as JSON and as CSV, for scripts (interface.md)."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from trueup_agent.reports.details import NO_DETAILS, Details
from trueup_agent.reports.query import Report
from trueup_agent.reports.sums import COVERED, Sums
from trueup_shared.money import micro

_AMOUNTS = ("cost_microusd", "reported_cost_microusd", "reported_credits")
_encoder = msgspec.json.Encoder(decimal_format="number")


def to_json(report: Report, details: Details = NO_DETAILS) -> bytes:
    single = len(report.dimensions) == 1
    document = {
        "from": report.first,
        "to": report.last,
        "timezone": report.selection.timezone,
        "events": report.totals.events,
        **details.of_all,
        **_line(report.totals),
        "rows": [
            {"key": key[0] if single else key, **details.of(n), "events": sums.events, **_line(sums)}
            for n, (key, sums) in enumerate(report.rows)
        ],
    }
    return _encoder.encode(document)


def _line(sums: Sums) -> dict[str, Any]:
    coverage = {
        name: {"events": sums.events, "reported": c.reported, "lower_bound": c.lower_bound, "derived": c.derived}
        for name, c in sums.coverage.items()
    }
    return {"totals": totals(sums), "coverage": coverage, "unpriced_tokens": sums.unpriced_tokens}


def totals(sums: Sums) -> dict[str, Any]:
    """Every amount by its name; None = not reported."""
    credits = sums.reported_nanocredits
    money = (
        *(None if amount is None else micro(amount) for amount in (sums.cost_nanousd, sums.reported_nanousd)),
        None if credits is None else (Decimal(credits) / 10**9).normalize(),
    )
    return {**sums.amounts, **dict(zip(_AMOUNTS, money, strict=True))}


def to_csv(report: Report, details: Details = NO_DETAILS) -> str:
    """A line for each row; without dimensions one line with the totals. Unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = ("reported", "lower_bound", "derived")
    beside = [name for name in details.names if name not in report.dimensions]
    header = [*report.dimensions, *beside, "events", *totals(report.totals), "unpriced_tokens"]
    writer.writerow([*header, *(f"{name}_{kind}" for name in COVERED for kind in kinds)])
    for n, (key, sums) in enumerate(_lines(report)):
        more = [details.of(n).get(name) for name in beside]
        coverage = [getattr(sums.coverage[name], kind) for name in COVERED for kind in kinds]
        writer.writerow(
            [*map(_cell, (*key, *more)), sums.events, *totals(sums).values(), sums.unpriced_tokens, *coverage]
        )
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A name that a spreadsheet would run as a formula is quoted, as in the hub's CSV."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _lines(report: Report) -> Iterator[tuple[tuple[str | None, ...], Sums]]:
    if report.dimensions:
        yield from report.rows
    else:
        yield (), report.totals
