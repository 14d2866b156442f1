"""`trueup usage statusline`: what this session, today and the block of five hours came to, in one pass of events."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from trueup_agent.ledger import LedgerReader
from trueup_agent.reports.blocks import HARNESS, left
from trueup_agent.reports.dimensions import HOUR_MICROS
from trueup_agent.reports.names import BLOCK_HOURS, block_starts
from trueup_agent.reports.query import MEASURES, summed
from trueup_agent.reports.sums import TOTAL, Sums
from trueup_shared import keys
from trueup_shared.times import SLOT_MICROS, first_slot, local_time

_UNKNOWN = "—"
_DAYS = 7  # back to where blocks are reckoned from: nobody works so long without a pause of five hours


class Line(Struct, frozen=True):
    """None: not asked for, or no block runs. `block_left`: microseconds."""

    session: Sums | None
    today: Sums
    block: Sums | None
    block_left: int | None


def session_of(told: Any) -> bytes | None:
    """Key of the session that Claude Code tells of on stdin; None where it told nothing of use."""
    name = told.get("session_id") if isinstance(told, Mapping) else None
    return keys.session_key(HARNESS, name) if isinstance(name, str) and name else None


def read_line(reader: LedgerReader, session: bytes | None, timezone: str, now: int) -> Line:
    """`now`: µs UTC."""
    zone = ZoneInfo(timezone)
    day: date = local_time(now // SLOT_MICROS, zone).date()
    today = first_slot(day, zone) * SLOT_MICROS, first_slot(day + timedelta(1), zone) * SLOT_MICROS
    since = min(today[0], now - _DAYS * 24 * HOUR_MICROS)
    columns = f"at / {SLOT_MICROS}, session_key = ?1, harness = '{HARNESS}'"
    sql = (
        f"SELECT {columns}, {MEASURES} FROM events WHERE at >= ?2 OR session_key = ?1"
        " GROUP BY 1, 2, 3, known, lower_bounds, derived, priced"
    )
    rows = summed(reader, sql, [session or b"", since])
    hours = {slot * SLOT_MICROS // HOUR_MICROS for slot, _, of_claude, *_ in rows if of_claude}
    starts = block_starts(hour for hour in hours if hour * HOUR_MICROS >= since)
    start = max((start for start in starts.values() if start <= now // HOUR_MICROS), default=None)
    running = start is not None and now // HOUR_MICROS < start + BLOCK_HOURS
    sums = {"session": Sums(), "today": Sums(), "block": Sums()}
    for slot, mine, of_claude, *values in rows:
        at, pattern = slot * SLOT_MICROS, values[:4]
        events, *amounts, peak, cost, _, _ = values[4:]
        in_block = of_claude and running and starts.get(at // HOUR_MICROS) == start
        for name, counts in (("session", mine), ("today", today[0] <= at < today[1]), ("block", in_block)):
            if counts:
                sums[name].add(tuple(pattern), events, amounts, peak, cost)
    left_over = (start + BLOCK_HOURS) * HOUR_MICROS - now if start is not None and running else None
    return Line(sums["session"] if session else None, sums["today"], sums["block"] if running else None, left_over)


def in_words(line: Line) -> str:
    """As short as it can be said: `≥` where the true number may be greater, `—` where nothing is known."""
    parts = [f"{_amounts(line.session)} session"] if line.session and line.session.events else []
    parts.append(f"{_amounts(line.today)} today" if line.today.events else "nothing yet today")
    if line.block is not None and line.block_left is not None:
        parts.append(f"{_amounts(line.block)} block, {left(line.block_left)}")
    return " · ".join(parts)


def _amounts(sums: Sums) -> str:
    least = "≥ " if sums.is_lower_bound(TOTAL) else ""
    tokens = f"{least}{_short(sums.amounts[TOTAL])}"
    if sums.cost_nanousd is None:
        return tokens
    more = "≥ " if sums.unpriced_tokens or least else ""
    return f"{tokens} {more}${sums.cost_nanousd / 1e9:,.2f}"


def _short(tokens: int | None) -> str:
    if tokens is None:
        return _UNKNOWN
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if tokens >= size:
            return f"{tokens / size:.1f}{unit}"
    return str(tokens)
