"""What Cursor's server knows, imported by hand: pages of the Admin API and the dashboard's CSV (formats/cursor.md).

They are of all machines of a user, and of no conversation.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, SourceFile, skip
from trueup_agent.harnesses.cursor.usage import (
    CACHE_READ,
    CACHE_WRITE,
    INPUT,
    OUTPUT,
    SERVER,
    in_dollars,
    kept,
    of_server,
)
from trueup_agent.harnesses.values import amount, counter, epoch, micros, text
from trueup_agent.records import EventRecord, Parsed, SessionRecord
from trueup_shared import keys

_COUNTERS = (INPUT, OUTPUT, CACHE_WRITE, CACHE_READ)
_COLUMNS = {
    INPUT: "Input (w/o Cache Write)",
    OUTPUT: "Output Tokens",
    CACHE_WRITE: "Input (w/ Cache Write)",  # the tokens written to the cache, not a sum with the column above
    CACHE_READ: "Cache Read",
}
_PIECE = 2000
_NO_MODEL = {"default", "auto"}
_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """One event of the server. `identity` without the number that tells equal ones apart."""

    identity: tuple[str | int | None, ...]
    user: str
    at: int
    model: str | None
    counters: dict[str, int]
    dollars: str | None
    included: bool


class _Export:
    """`base.WholeParser`; subclasses read the rows. None: one that could not be read; it was counted."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files
        self._parsed = Parsed()

    def rows(self, raw: bytes) -> Iterator[Row | None]:
        raise NotImplementedError

    def read(self, everything: bool) -> Iterator[Parsed]:
        raw = self._files.read(self._source.path)
        if raw is None:
            return
        seen: Counter[tuple[str | int | None, ...]] = Counter()
        for row in self.rows(raw):
            self._parsed.lines += 1
            if row is not None:
                self._add(row, seen[row.identity])
                seen[row.identity] += 1
            if len(self._parsed.events) >= _PIECE:
                yield self._take()
        yield self._take()

    def state(self) -> bytes:
        return b""

    def _take(self) -> Parsed:
        parsed, self._parsed = self._parsed, Parsed()
        return parsed

    def _add(self, row: Row, occurrence: int) -> None:
        """There are no ids: equal rows of one file are told apart by their number, rows of two pages are one."""
        session_id = f"server:{row.user}"
        session_key = keys.session_key("cursor", session_id)
        if not any(session.key == session_key for session in self._parsed.sessions):
            session = SessionRecord(key=session_key, harness="cursor", session_id=session_id)
            self._parsed.sessions.append(session)
        identity = (*row.identity, occurrence)
        self._parsed.events.append(
            EventRecord(
                key=keys.event_key("cursor", *identity),
                session_key=session_key,
                harness="cursor",
                at=row.at,
                model=row.model,
                reported_cost=row.dollars,
                reported_cost_unit="usd" if row.dollars is not None else None,
                reported_cost_status=("included" if row.included else "reported") if row.dollars is not None else None,
                identity=_encode(identity).decode(),
                raw_usage=_encode({SERVER: row.counters}),
                **msgspec.structs.asdict(of_server(row.counters)),
            )
        )


class UsagePage(_Export):
    """A saved answer of `POST /teams/filtered-usage-events`."""

    def rows(self, raw: bytes) -> Iterator[Row | None]:
        try:
            said = json_text.decode_document(raw)
        except json_text.UNREADABLE:
            said = None
        events = said.get("usageEventsDisplay") if isinstance(said, dict) else None
        for event in events if isinstance(events, list) else [None]:
            if isinstance(event, dict):
                yield self._row(event)
            else:
                skip(self._parsed, MALFORMED)
                yield None

    def _row(self, said: dict[str, Any]) -> Row | None:
        at = epoch(said.get("timestamp"), 1000)
        if at is None:
            skip(self._parsed, NO_TIME)
            return None
        counters = kept(said.get("tokenUsage"), _COUNTERS)
        # The id and not the mail: the name of a session leaves the machine.
        user = text(said.get("userId")) or str(said.get("userId") or "unknown")[:64]
        mail = keys.key("cursor user", text(said.get("userEmail"))).hex() if text(said.get("userEmail")) else None
        model, kind = _model(said.get("model")), text(said.get("kind")) or ""
        cents = _number(said.get("chargedCents"))
        identity = ("api", at, user, mail, model, *(counters.get(name) for name in _COUNTERS), cents)
        included = "INCLUDED" in kind or said.get("isChargeable") is False
        return Row(identity, user, at, model, counters, in_dollars(cents), included)


class CsvExport(_Export):
    """The dashboard's export. Older ones have no column `Kind`."""

    def rows(self, raw: bytes) -> Iterator[Row | None]:
        lines = raw.decode("utf-8-sig", "replace").replace("\0", "").splitlines()
        try:
            for said in csv.DictReader(lines):
                yield self._row(said)
        except csv.Error:
            skip(self._parsed, MALFORMED)
            yield None

    def _row(self, said: Mapping[str | None, Any]) -> Row | None:
        at = micros(said.get("Date"))
        if at is None:
            skip(self._parsed, NO_TIME)
            return None
        counters = {name: n for name, column in _COLUMNS.items() if (n := _digits(said.get(column))) is not None}
        model, kind, cost = _model(said.get("Model")), text(said.get("Kind")), text(said.get("Cost"))
        dollars = _number(cost.removeprefix("$").replace(",", "")) if cost else None
        identity = ("csv", at, kind, model, text(said.get("Max Mode")), *map(counters.get, _COUNTERS), cost)
        return Row(identity, "dashboard", at, model, counters, dollars, "included" in (kind or "").lower())


def _model(value: Any) -> str | None:
    model = text(value)
    return None if model in _NO_MODEL else model


def _digits(value: Any) -> int | None:
    plain = value.replace(",", "").strip() if isinstance(value, str) else ""
    return counter(int(plain)) if plain.isascii() and plain.isdigit() and len(plain) < 17 else None


def _number(value: Any) -> str | None:
    """A decimal number as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return amount(value) if type(value) in (int, float) else None
