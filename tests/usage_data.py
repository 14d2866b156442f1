"""Machines that send made-up usage to a hub's database through its real ingest, for tests of what the hub answers."""

import itertools
from datetime import datetime
from typing import Any

from ledgers import Ledger, add_host
from trueup_hub.db import Database
from trueup_shared import keys, wire
from trueup_shared.wire import EventBody, MessageBody, SessionBody

_order = itertools.count()


def micros(text: str) -> int:
    """ISO time with its offset, as microseconds."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def session_key(name: str, harness: str = "claude") -> bytes:
    return keys.session_key(harness, name)


def session(name: str, at: str | int | None, harness: str = "claude", **fields: Any) -> tuple[bytes, SessionBody]:
    started = micros(at) if isinstance(at, str) else at
    return session_key(name, harness), SessionBody(harness=harness, session_id=name, started_at=started, **fields)


def message(
    name: str, session_name: str, at: str | int, harness: str = "claude", **fields: Any
) -> tuple[bytes, wire.Body]:
    values: dict[str, Any] = {"role": "user", "kind": "prompt"} | fields
    body = MessageBody(
        session_key=session_key(session_name, harness),
        at=micros(at) if isinstance(at, str) else at,
        harness=harness,
        **values,
    )
    return keys.message_key(harness, name), body


def event(
    name: str, session_name: str, at: str | int, harness: str = "claude", **fields: Any
) -> tuple[bytes, wire.Body]:
    body = EventBody(
        session_key=session_key(session_name, harness),
        at=micros(at) if isinstance(at, str) else at,
        time_quality=1,
        harness=harness,
        **fields,
    )
    return keys.event_key(harness, name), body


class Machine:
    """One enrolled host with one ledger. `send` sends rows as an agent would, so that the hub ends converged."""

    def __init__(self, db: Database, host: tuple[int, str], label: str) -> None:
        self.db, self.label = db, label
        self._ledger = Ledger(db, host)
        self.host_no, self.ledger_id = self._ledger.host_no, self._ledger.ledger_id

    async def send(self, *rows: tuple[bytes, wire.Body]) -> wire.Receipt:
        for key, body in rows:
            self._ledger.put(key, body)
        return await self._ledger.push()


async def machine(db: Database, label: str, kind: str = "server") -> Machine:
    """Enrol a host; the one made first was enrolled first."""
    return Machine(db, await add_host(db, label, next(_order), kind), label)
