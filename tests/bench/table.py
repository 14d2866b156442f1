"""The table that `make bench` prints: what was measured, against whom, the ratio, and what was asked for."""

import json
import platform
import sys
from importlib.metadata import version
from typing import Any, NamedTuple

from measure import Series


class Line(NamedTuple):
    what: str
    ours: str
    theirs: str
    ratio: str
    wanted: str


def figure(series: Series, what: str, unit: str) -> str:
    low, high = series.spread(what)
    return f"{series.median(what):.2f} {unit} ({low:.2f}–{high:.2f}, n={len(series.runs)})"


def compare(what: str, ours: Series, theirs: Series | None, field: str, unit: str, wanted: str) -> Line:
    """No ratio where the peer is absent or failed: a fast failure is no speed."""
    if theirs is None:
        return Line(what, figure(ours, field, unit), "not installable here", "—", wanted)
    if not theirs.ok:
        return Line(what, figure(ours, field, unit), "failed", "—", wanted)
    ratio = f"{ours.median(field) / theirs.median(field):.3f}"
    return Line(what, figure(ours, field, unit), figure(theirs, field, unit), ratio, wanted)


def alone(what: str, ours: str, wanted: str) -> Line:
    return Line(what, ours, "", "", wanted)


def show(lines: list[Line], commands: dict[str, list[str]], extra: dict[str, Any]) -> None:
    widths = [max(len(line[i]) for line in [Line(*Line._fields), *lines]) for i in range(len(Line._fields))]
    for line in [Line("", "trueup", "peer", "ratio", "wanted"), *lines]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    print()
    print(f"Python {platform.python_version()}, {platform.machine()}, asyncpg {version('asyncpg')}")
    for name, command in commands.items():
        print(f"{name}: {' '.join(command)}")
    if extra:
        json.dump(extra, sys.stdout, indent=1)
        print()
