"""Analytics over HTTP: twenty hosts and 180 days, beside agentsview's hub on the same data; a year of many events.

`--events N` sets how many: the figures that were asked for are those of ten million. That database is kept.
"""

import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import NamedTuple

import many_events
import part_push
from analytics_hubs import ZONE, our_fleet, our_hub, peer_fleet, peer_hub
from http_load import Server, Times, Used, p, timed
from part_scan import find
from table import Line, alone

ELSEWHERE = "Asia/Kolkata"  # a zone that nobody asked for before
SECONDS, PEERS_SECONDS = 2.0, 4.0  # for each route, alone and at once
CORPUS_ENDS = date(2026, 11, 20)

OF_USAGE = "p99 < 100 ms, 1/100; at once ≤ 3 × p99"
OF_OTHERS = "p99 < 100 ms, 1/10 or < 20 ms; at once ≤ 3 × p99"


class Case(NamedTuple):
    """`ours`: asked one after the other, timed together."""

    what: str
    ours: tuple[str, ...]
    theirs: str | None = None
    wanted: str = OF_OTHERS


_BY = ("model", "harness", "project", "host")
CASES = (
    Case("summary", ("analytics/summary",), "usage/summary", OF_USAGE),
    Case(
        "summary, and activity by model, harness, project and host: all that the peer's has",
        ("analytics/summary", *(f"analytics/activity?group_by={part}" for part in _BY)),
        "usage/summary",
        "1/100",
    ),
    Case("top-sessions by cost", ("analytics/top-sessions?metric=cost",), "usage/top-sessions", OF_USAGE),
    Case("summary", ("analytics/summary",), "analytics/summary"),
    Case("activity", ("analytics/activity",), "analytics/activity?granularity=day"),
    Case("activity by model", ("analytics/activity?group_by=model",)),
    Case("activity by project", ("analytics/activity?group_by=project",)),
    Case("activity by week and host", ("analytics/activity?group_by=host&granularity=week",)),
    Case("heatmap", ("analytics/heatmap",), "analytics/heatmap?metric=output_tokens"),
    Case("heatmap of active sessions", ("analytics/heatmap?metric=active_sessions",)),
    Case("hour-of-week", ("analytics/hour-of-week",), "analytics/hour-of-week"),
    Case("breakdown by model", ("analytics/breakdown?by=model",)),
    Case("breakdown by project", ("analytics/breakdown?by=project",), "analytics/projects"),
    Case("breakdown by host", ("analytics/breakdown?by=host",)),
    Case("top-sessions", ("analytics/top-sessions",), "analytics/top-sessions?metric=output_tokens"),
    Case("sessions", ("sessions?limit=50",), "sessions?limit=50"),
    Case("sessions by tokens", ("sessions?limit=50&sort=total_tokens",)),
    Case("trust", ("trust",)),
)
FILTERED = (
    Case("breakdown by project", ("analytics/breakdown?by=project",)),
    Case("summary of one project", ("analytics/summary?project=project-7",)),
    Case("activity of one project", ("analytics/activity?project=project-7",)),
    Case("summary of one model", ("analytics/summary?model=claude-opus-4-5-20251101",)),
    Case("summary of one host", ("analytics/summary?host=host-7",)),
    Case("summary, every copy counted", ("analytics/summary?counted=all",)),
    Case("breakdown by team, every copy counted", ("analytics/breakdown?by=label:team&counted=all",)),
)
# A year of days divided by project is more than an answer holds
IN_USE = (*(case for case in CASES if "by project" not in case.what and len(case.ours) == 1), *FILTERED)
NOT_IN_USE = tuple(case for case in CASES if case.what in ("summary", "activity", "heatmap", "breakdown by project"))


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]], events: int) -> list[Line]:
    return [*fleet(folder, home, commands), *year(folder, events)]


def fleet(folder: Path, home: Path, commands: dict[str, list[str]]) -> list[Line]:
    state = folder / "state" / "analytics"
    shutil.rmtree(state, ignore_errors=True)
    command = find(commands, "agentsview")
    span, zones = _span(CORPUS_ENDS, 180), (ZONE, "UTC")
    theirs: dict[tuple[str, str], Times] = {}
    meanwhile = []
    with part_push.postgresql() as server:
        url = our_fleet(server, state, home)
        with our_hub(url, state) as (hub, pid), Used(hub=pid, postgresql=server.pid) as used:
            ours = {(case, zone): ask(hub, case.ours, span, zone) for zone, case in product(zones, CASES)}
        meanwhile.append(alone("20 hosts: meanwhile", str(used), ""))
        if command is not None:
            url = peer_fleet(server, state, home, command)
            with peer_hub(url, state, command) as (hub, pid), Used(hub=pid, postgresql=server.pid) as used:
                for zone, route in product(zones, dict.fromkeys(case.theirs for case in CASES if case.theirs)):
                    theirs[route, zone] = ask(hub, [route], span, zone, PEERS_SECONDS, least=2, crowd=zone == ZONE)
            meanwhile.append(alone("20 hosts: agentsview's meanwhile", str(used), ""))
    return [
        *(_line(case, zone, times, theirs.get((case.theirs or "", zone))) for (case, zone), times in ours.items()),
        *meanwhile,
    ]


def year(folder: Path, events: int) -> list[Line]:
    """The hub's own zone is in use: its days are kept. Of others slots are added up."""
    state = folder / "state" / "year"
    state.mkdir(parents=True, exist_ok=True)
    lines = []
    with many_events.database(folder / "analytics", events) as server, our_hub(server.url(), state) as (hub, pid):
        with Used(hub=pid, postgresql=server.pid) as used:
            for days, zone in product((30, 365), (ZONE, ELSEWHERE)):
                wanted = f"10 million: p99 < {100 if days == 30 else 250} ms"
                for case in IN_USE if zone == ZONE else NOT_IN_USE:
                    times = ask(hub, case.ours, _span(many_events.LAST, days), zone, crowd=days == 30)
                    lines.append(alone(f"{events:,} events, {days} days, {zone}: {case.what}", str(times), wanted))
        lines.append(alone(f"{events:,} events: meanwhile", str(used), ""))
    return lines


def ask(
    hub: Server,
    routes: Iterable[str],
    span: str,
    zone: str,
    seconds: float = SECONDS,
    *,
    least: int = 5,
    crowd: bool = True,
) -> Times:
    asked = [f"{route}{'&' if '?' in route else '?'}{span}&timezone={zone}" for route in routes]
    return timed(hub, asked, seconds, least=least, crowd=crowd)


def _span(last: date, days: int) -> str:
    return f"from={last - timedelta(days - 1)}&to={last}"


def _line(case: Case, zone: str, ours: Times, theirs: Times | None) -> Line:
    """The ratio is of what 99 of 100 answers do not exceed."""
    ratio = "" if theirs is None else f"{p(ours.alone, 99) / p(theirs.alone, 99):.4f}"
    against = f" / agentsview {case.theirs}" if case.theirs else ""
    what = f"20 hosts, 180 days, {zone}: {case.what}{against}"
    return Line(what, str(ours), "" if theirs is None else str(theirs), ratio, case.wanted)
