"""What a report calls the values of its dimensions: days, weeks and blocks out of times, names out of keys."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from trueup_agent.ledger import LedgerReader
from trueup_agent.policy import project_folder, project_name
from trueup_agent.reports.dimensions import HOUR_MICROS
from trueup_shared.times import local_time, moment

Key = tuple[str | None, ...]

BLOCK_HOURS = 5


def project_of(path: str | None) -> str | None:
    return project_name(project_folder(path)) if path else None


def block_starts(hours: Iterable[int]) -> dict[int, int]:
    """Hour of usage -> the hour (since 1970, UTC) in which its block begins.

    A block begins with the hour of the first request that no earlier block covers, and lasts five hours. That is how
    ccusage reckons the windows of Claude's limits. A pause of five hours ends a block in any case: it began before
    the last request in it.
    """
    starts: dict[int, int] = {}
    start: int | None = None
    for hour in sorted(hours):
        if start is None or hour >= start + BLOCK_HOURS:
            start = hour
        starts[hour] = start
    return starts


def hour_name(hour: int) -> str:
    return moment(hour * HOUR_MICROS).strftime("%Y-%m-%dT%H:%M:%SZ")


class Names:
    """Column values to what a report calls them. `harnesses`: those whose requests make blocks; () = all."""

    def __init__(
        self, reader: LedgerReader, dimensions: tuple[str, ...], zone: ZoneInfo, harnesses: tuple[str, ...] = ()
    ) -> None:
        self._dimensions = dimensions
        self._zone = zone
        self._times: dict[tuple[str, int], str] = {}
        self._sessions: dict[bytes, str] = {}
        self._blocks: dict[int, int] = {}
        if "session" in dimensions:
            self._sessions = dict(reader.query("SELECT key, session_id FROM sessions"))
        if "block" in dimensions:  # of all that the ledger has: a narrower range does not move them
            among = f"WHERE harness IN ({', '.join('?' * len(harnesses))})" if harnesses else ""
            hours = reader.query(f"SELECT DISTINCT at / {HOUR_MICROS} FROM events {among}", harnesses)
            self._blocks = block_starts(hour for (hour,) in hours)

    def key(self, values: Any) -> Key:
        return tuple(self._name(name, value) for name, value in zip(self._dimensions, values, strict=True))

    def _name(self, dimension: str, value: Any) -> str | None:
        if dimension in ("day", "week", "month"):
            if (dimension, value) not in self._times:
                self._times[dimension, value] = _beginning(dimension, local_time(value, self._zone).date()).isoformat()
            return self._times[dimension, value]
        if dimension == "block":
            return hour_name(self._blocks[value])
        if dimension == "project":
            return project_of(value)
        if dimension == "session":
            return self._sessions.get(value)
        if dimension == "session_key":
            return str(value.hex())
        return value or None


def _beginning(dimension: str, day: date) -> date:
    """Weeks begin on Monday and are named by it, months by their first day, as on the hub."""
    if dimension == "week":
        return day - timedelta(day.weekday())
    return day.replace(day=1) if dimension == "month" else day
