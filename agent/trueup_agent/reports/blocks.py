"""Windows of five hours, as ccusage reckons those of Claude's limits (names.block_starts)."""

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from trueup_agent.ledger import LedgerReader
from trueup_agent.reports.details import Details, local, utc
from trueup_agent.reports.dimensions import HOUR_MICROS
from trueup_agent.reports.names import BLOCK_HOURS
from trueup_agent.reports.query import Report, Selection, make_report
from trueup_agent.reports.sums import TOTAL, Sums
from trueup_shared.money import micro
from trueup_shared.times import micros

HARNESS = "claude"  # whose limits have such windows, where no harness is asked for
_BLOCK_MICROS = BLOCK_HOURS * HOUR_MICROS
_SETTLED_MICROS = 10 * 60_000_000  # what a few minutes come to says nothing of five hours


class Block(Struct, frozen=True):
    """`projected_…`: what it would come to if it went on as since its first request; None where that says nothing."""

    start: int  # µs UTC
    end: int
    active: bool
    projected_tokens: int | None
    projected_nanousd: int | None


def block_of(key: str, sums: Sums, now: int) -> Block:
    start = micros(datetime.fromisoformat(key))
    end = start + _BLOCK_MICROS
    active = start <= now < end
    elapsed = now - sums.first_at if active and sums.first_at is not None else 0

    def projected(amount: int | None) -> int | None:
        return None if amount is None or elapsed < _SETTLED_MICROS else amount + amount * (end - now) // elapsed

    return Block(start, end, active, projected(sums.amounts[TOTAL]), projected(sums.cost_nanousd))


def block_report(
    reader: LedgerReader, selection: Selection, dimensions: tuple[str, ...], now: int
) -> tuple[Report, Details]:
    """A row for each block with usage, the newest last. `now`: µs UTC."""
    if not selection.harnesses:
        selection = structs.replace(selection, harnesses=(HARNESS,))
    report = make_report(reader, selection, ("block", *dimensions))
    fields, cells, notes = list[dict[str, Any]](), list[tuple[str, ...]](), list[str]()
    for (key, *_), sums in report.rows:
        block = block_of(str(key), sums, now)
        cells.append((left(block.end - now) if block.active else "",))
        fields.append(_fields(block, sums))
        if block.projected_tokens is not None and not dimensions:
            notes.append(
                f"At the rate of this block so far it ends with {block.projected_tokens:,} tokens; what a plan allows"
                " is not known here."
            )
    heads = (f"Blocks of five hours, {' and '.join(selection.harnesses)}",)
    zone = selection.timezone
    details = Details(
        fields=fields,
        titles=("",) if any(cell for (cell,) in cells) else (),
        cells=cells if any(cell for (cell,) in cells) else [],
        heads=heads,
        notes=tuple(notes),
        key=lambda name: local(micros(datetime.fromisoformat(name)), zone),
    )
    return report, details


def _fields(block: Block, sums: Sums) -> dict[str, Any]:
    cost = block.projected_nanousd
    return {
        "end": utc(block.end),
        "first_at": utc(sums.first_at),
        "last_at": utc(sums.last_at),
        "active": block.active,
        "projected_total_tokens": block.projected_tokens,
        "projected_cost_microusd": None if cost is None else micro(cost),
    }


def left(microseconds: int) -> str:
    hours, minutes = divmod(microseconds // 60_000_000, 60)
    return f"{hours} h {minutes:02} min left" if hours else f"{minutes} min left"
