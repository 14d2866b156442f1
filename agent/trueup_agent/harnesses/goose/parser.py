"""Reads Goose's database. Rules and evidence: formats/goose.md; the producer's `record_usage_metrics`.

Each request adds to the session's running total and leaves a row in the ledger, in one transaction. What a session used
before there was a ledger is that total without the ledger's rows. The producer itself writes it into the ledger before
the session's next request, as a row without a model (`carried_forward`), which is therefore no request.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import CONTRADICTORY, NO_TIME, Files, skip, time_of
from trueup_agent.harnesses.goose import sessions
from trueup_agent.harnesses.goose.sessions import ID, Session
from trueup_agent.harnesses.goose.usage import COUNTERS, LAST, TOTAL, usage_of
from trueup_agent.harnesses.series import observation
from trueup_agent.harnesses.tables import Row, RowsParser, Table, is_id
from trueup_agent.records import EventRecord
from trueup_shared.keys import event_key

_SESSIONS = (
    *("id", "name", "description", "session_type", "working_dir", "created_at", "updated_at", "provider_name"),
    *("model_config_json", "parent_session_id", *COUNTERS, *(TOTAL + name for name in COUNTERS), "accumulated_cost"),
)
_LEDGER = (
    *("id", "session_id", "created_timestamp", "model", *COUNTERS, "total_tokens", "cost", "cost_source"),
    "is_compaction",
)
_MESSAGES = ("id", "message_id", "session_id", "role", "content_json", "created_timestamp", "metadata_json")
_CARRIED = "carried_forward"
SESSIONS_AT_ONCE = 200  # the ledger may have no index by session

_encode = msgspec.json.Encoder().encode


class GooseParser(RowsParser):
    """`base.WholeParser`. Sessions are read again when they changed, and all requests of those with them."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path = path
        self._files = files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        rows = Table(database, "sessions", _SESSIONS).rows()
        self._sessions = {row["id"]: Session(row) for row in rows if is_id(row["id"])}
        ledger = Table(database, "usage_ledger", _LEDGER)
        since, changed = str(self.since("updated_at", "")), []
        for session in self._sessions.values():
            updated_at = session.row["updated_at"]
            self.saw("updated_at", updated_at)
            if not isinstance(updated_at, str) or updated_at >= since:
                changed.append(session)
        for start in range(0, len(changed), SESSIONS_AT_ONCE):
            some = changed[start : start + SESSIONS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            requests: dict[str, list[Row]] = {session.id: [] for session in some}
            for row in ledger.rows(f"WHERE session_id IN ({marks}) ORDER BY id", list(requests)):
                if row["session_id"] in requests:  # SQLite holds 5 and "5" to be equal
                    requests[row["session_id"]].append(row)
            for session in some:
                self.parsed.lines += 1
                self.parsed.sessions.append(session.record(self._parent(session)))
                self._usage(session, requests[session.id])
                yield
        yield from self._messages(Table(database, "messages", _MESSAGES))

    def _parent(self, session: Session) -> Session | None:
        return self._sessions.get(session.row["parent_session_id"])

    def _usage(self, session: Session, ledger: list[Row]) -> None:
        requests = [row for row in ledger if row["cost_source"] != _CARRIED or row["model"] is not None]
        for row in requests:
            self.parsed.lines += 1
            self._request(session, row)
        self._before_the_ledger(session, ledger, requests)

    def _request(self, session: Session, row: Row) -> None:
        raw = {name: row[name] for name in COUNTERS}
        usage, contradicts = usage_of(raw)
        if contradicts:
            skip(self.parsed, CONTRADICTORY)
        cost = None if row["cost_source"] == _CARRIED else _amount(row["cost"])
        # A row without any token is one of a provider that reports none; its cost counts.
        self.parsed.answer(usage.reported())
        identity = (
            *(_plain(session.row[name]) for name in ("id", "created_at")),
            *(_plain(row[name]) for name in ("id", "created_timestamp", *COUNTERS, "total_tokens")),
        )
        self._emit(
            session,
            sessions.moment(row["created_timestamp"]),
            EventRecord(
                key=event_key(ID, *identity),
                session_key=session.key,
                harness=ID,
                at=0,
                model=values.text(row["model"]) or session.model,
                reported_cost=cost,
                reported_cost_unit="usd",
                reported_cost_status="reported" if row["cost_source"] == "provider_reported" else "estimated",
                identity=_encode(identity).decode(),
                raw_usage=_encode(raw),
                **msgspec.structs.asdict(usage),
            ),
        )

    def _before_the_ledger(self, session: Session, ledger: list[Row], requests: list[Row]) -> None:
        left = {name: _left(session.row[TOTAL + name], ledger, requests, name) for name in COUNTERS}
        if requests and not left["cache_read_tokens"] and not left["cache_write_tokens"]:
            # The cache's totals are younger than the others: what came before is not divided, as it was seen then.
            left |= {"cache_read_tokens": None, "cache_write_tokens": None}
        if not any(left.values()):
            if not ledger:
                self._last_request(session)
            return
        raw = {TOTAL + name: left[name] for name in COUNTERS}
        usage, contradicts = usage_of(raw)
        if contradicts:
            skip(self.parsed, CONTRADICTORY)
        cost = _rest_of_cost(session.row["accumulated_cost"], requests)
        at = sessions.moment(ledger[0]["created_timestamp"]) if ledger else values.micros(session.row["updated_at"])
        fields = {"reported_cost": cost, "reported_cost_unit": "usd", "reported_cost_status": "estimated"}
        event = observation(
            ID,
            (session.identity,),
            tuple(left.values()),
            usage,
            session_key=session.key,
            at=0,
            model=session.model,
            raw_usage=_encode(raw),
            **fields,
        )
        self._emit(session, at, event)

    def _last_request(self, session: Session) -> None:
        """No total at all: the last request is a lower bound of what was used."""
        raw = {LAST + name: session.row[name] for name in COUNTERS[:2]}
        usage, _ = usage_of(raw)
        if session.row[TOTAL + COUNTERS[0]] is not None or not (usage.input_undivided_tokens or usage.output_tokens):
            return
        identity = (session.identity, "last")
        event = EventRecord(
            key=event_key(ID, *identity),
            session_key=session.key,
            harness=ID,
            at=0,
            model=session.model,
            identity=_encode(identity).decode(),
            raw_usage=_encode(raw),
            **msgspec.structs.asdict(usage),
        )
        self._emit(session, values.micros(session.row["updated_at"]), event)

    def _emit(self, session: Session, at: int | None, event: EventRecord) -> None:
        at, event.time_quality = time_of(at, session.started_at, self._files, self._path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        event.at = at
        event.provider = session.provider
        event.project_path = session.project
        event.session_started = session.started_at or 0
        self.parsed.events.append(event)

    def _messages(self, table: Table) -> Iterator[None]:
        since = self.since("message_id", 0)
        for row in table.pages("id > ?", (since,)):
            self.saw("message_id", row["id"])
            self.parsed.lines += 1
            session = self._sessions.get(row["session_id"])
            if session is not None:
                sessions.add_message(self.parsed, session, row)
            yield


def _left(total: Any, ledger: list[Row], requests: list[Row], name: str) -> int | None:
    """Of a session's total what no request of the ledger accounts for; None where there is no total."""
    counted = sum(values.counter(row[name]) or 0 for row in requests)
    carried = sum(values.counter(row[name]) or 0 for row in ledger) - counted
    known = values.counter(total)
    if known is None:
        return carried or None
    return max(known - counted, carried, 0)


def _rest_of_cost(total: Any, requests: list[Row]) -> str | None:
    cost = _amount(total)
    if cost is None:
        return None
    known = (_amount(row["cost"]) for row in requests)
    rest = Decimal(cost) - sum((Decimal(one) for one in known if one is not None), Decimal(0))
    return values.amount(float(rest)) if rest > 0 else None


def _amount(cost: Any) -> str | None:
    return values.amount(cost) if type(cost) in (int, float) else None


def _plain(value: Any) -> int | str | None:
    """A part of a key, whatever a hostile database has in that column."""
    return value if value is None or type(value) is int else str(value)


def row_of(header: Mapping[str, Any]) -> Row:
    """A session's row from the header of the file that it was before the database."""
    return {name: header.get(name) for name in _SESSIONS}
