"""What all stores of Kiro give alike: turns without counters, credits, messages."""

from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared import keys

CREDITS = "credits"

_encode = msgspec.json.Encoder().encode


def credits_of(entries: Any, field: str) -> float | None:
    """Sum over [{<field>: number, unit: "credit"}]; None where there is none, as while a turn is under way."""
    found: list[float] = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and str(entry.get("unit") or "credit").lower().startswith("credit"):
            value: Any = entry.get(field)
            if type(value) in (int, float) and 0 <= value < values.MAX_AMOUNT:
                found.append(value)
    return round(sum(found), 12) if found else None


def money(credits: float | None) -> dict[str, Any]:
    """Fields of an event. Whole numbers may come as floats."""
    if credits is None:
        return {}
    return {
        "reported_cost": values.amount(float(credits)),
        "reported_cost_unit": CREDITS,
        "reported_cost_status": "reported",
    }


def model_of(*candidates: Any) -> str | None:
    """The first that names a model: `auto` is a choice of which nobody tells the outcome."""
    names = (values.text(candidate) for candidate in candidates)
    return next((name for name in names if name is not None and name != "auto"), None)


def event(session_id: str, identity: tuple[str | int | None, ...], raw: Any, **fields: Any) -> EventRecord:
    return EventRecord(
        key=keys.event_key("kiro", *identity),
        session_key=keys.session_key("kiro", session_id),
        harness="kiro",
        identity=_encode(identity).decode(),
        raw_usage=_encode(raw),
        **fields,
    )


def session(session_id: str, **fields: Any) -> SessionRecord:
    return SessionRecord(key=keys.session_key("kiro", session_id), harness="kiro", session_id=session_id, **fields)


def message(session_id: str, identity: tuple[str | int, ...], role: str, kind: str, **fields: Any) -> MessageRecord:
    return MessageRecord(
        key=keys.message_key("kiro", *identity),
        session_key=keys.session_key("kiro", session_id),
        harness="kiro",
        role=role,
        kind=kind,
        **fields,
    )
