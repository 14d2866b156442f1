"""A report as a table for people: `—` is unknown, `≥` marks a sum to which some requests gave less than all."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trueup_agent.reports.details import NO_DETAILS, Details
from trueup_agent.reports.dimensions import TIMES
from trueup_agent.reports.query import Report
from trueup_agent.reports.sums import PEAK, TOTAL, Sums
from trueup_shared import prices
from trueup_shared.terminal import printable

UNKNOWN = "—"
_COLUMNS = (
    ("input_tokens", "input"),
    ("cache_read_tokens", "cache read"),
    ("cache_write_tokens", "cache write"),
    ("output_tokens", "output"),
    ("reasoning_tokens", "reasoning"),
    ("input_undivided_tokens", "input undivided"),
    ("undivided_tokens", "undivided"),
    (TOTAL, "total"),
)
_ONLY_WHERE_USED = ("input_undivided_tokens", "undivided_tokens")


def table_of(report: Report, details: Details = NO_DETAILS) -> RenderableType:
    """The report, what its marks mean, and what stands beside the numbers."""
    body = _rows(report, details) if report.dimensions else _list(report.totals)
    span = f"{report.first} to {report.last}, {report.selection.timezone}"
    notes = (*details.notes, *_notes(report))
    heads = (Text(printable(line), style="bold") for line in (*details.heads, span))
    return Group(*heads, body, *(Text(note, style="dim") for note in notes))


def _rows(report: Report, details: Details) -> Table:
    table = Table(show_footer=len(report.rows) > 1, header_style="bold", box=None, pad_edge=False)
    for position, name in enumerate(report.dimensions):
        table.add_column(name, "all" if position == 0 else "", overflow="fold", no_wrap=name in TIMES)
    for name in details.titles:
        table.add_column(name, overflow="fold", no_wrap=name in ("last used", ""))
    for title, total in _cells(report.totals, report.totals):
        table.add_column(title, total, justify="right", no_wrap=True)
    for n, (key, sums) in enumerate(report.rows):
        told = (*(details.shown(value) for value in key[:1]), *key[1:], *details.beside(n))
        names = (
            Text(printable(UNKNOWN if value is None else value)) for value in told
        )  # a name in brackets is no markup
        table.add_row(*names, *(cell for _, cell in _cells(sums, report.totals)))
    return table


def _cells(sums: Sums, totals: Sums) -> Iterator[tuple[str, str]]:
    """(title, cell): the columns that have something to say in this report."""
    if totals.coverage[TOTAL].reported < totals.events:
        yield "requests", f"{sums.events:,}"  # of some nothing else is known
    for name, title in _COLUMNS:
        if _is_used(name, totals):
            yield title, amount(sums, name)
    yield "at list price", _list_price(sums)
    if totals.reported_nanousd is not None:
        yield "as reported", dollars(sums.reported_nanousd)
    if totals.reported_nanocredits is not None:
        yield "credits", credits_of(sums)


def _list(sums: Sums) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column("what")
    table.add_column("how much", justify="right", no_wrap=True)
    table.add_column("coverage", style="dim")
    table.add_row("requests", f"{sums.events:,}", "")
    for name, title in (*_COLUMNS, (PEAK, "largest prompt")):
        if _is_used(name, sums):
            table.add_row(title, amount(sums, name), _coverage(sums, name))
    table.add_row("at list price", _list_price(sums), "")
    if sums.reported_nanousd is not None:
        table.add_row("cost as reported", dollars(sums.reported_nanousd), "")
    if sums.reported_nanocredits is not None:
        table.add_row("credits as reported", credits_of(sums), "")
    return table


def _is_used(name: str, totals: Sums) -> bool:
    return name not in _ONLY_WHERE_USED or totals.amounts[name] is not None


def _coverage(sums: Sums, name: str) -> str:
    coverage = sums.coverage.get(name)
    if coverage is None or (coverage.reported == sums.events and not coverage.lower_bound):
        return ""
    told = [f"reported by {coverage.reported:,} of {sums.events:,} requests"]
    if coverage.lower_bound:
        told.append(f"{coverage.lower_bound:,} lower bound{'s' if coverage.lower_bound > 1 else ''}")
    return ", ".join(told)


def amount(sums: Sums, name: str) -> str:
    value = sums.amounts[name]
    if value is None:
        return UNKNOWN
    return f"≥ {value:,}" if sums.is_lower_bound(name) else f"{value:,}"


def _list_price(sums: Sums) -> str:
    """Of the tokens that were reported and have a price: what is missing of them costs more."""
    least = sums.cost_nanousd is not None and (sums.unpriced_tokens > 0 or sums.is_lower_bound(TOTAL))
    return f"≥ {dollars(sums.cost_nanousd)}" if least else dollars(sums.cost_nanousd)


def dollars(nano: int | None) -> str:
    """Cents, half up."""
    if nano is None:
        return UNKNOWN
    cents = (nano + 5_000_000) // 10_000_000
    return f"${cents // 100:,}.{cents % 100:02}"


def credits_of(sums: Sums) -> str:
    """Hundredths, half up, of whatever a credit is to each harness."""
    if sums.reported_nanocredits is None:
        return UNKNOWN
    return f"{Decimal(sums.reported_nanocredits).scaleb(-9).quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def _notes(report: Report) -> list[str]:
    totals = report.totals
    notes = [f"List prices of {prices.DATE}; a flat plan costs what it costs."]
    if totals.unpriced_tokens:
        notes.append(f"{totals.unpriced_tokens:,} tokens have no list price and are not in it.")
    if any(totals.is_lower_bound(name) for name, _ in _COLUMNS):
        notes.append("≥: not every request reported this in full, so the true number may be greater.")
    if totals.reported_nanocredits is not None:
        notes.append("A credit is what its harness takes it for: those of two harnesses are not alike.")
    return notes
