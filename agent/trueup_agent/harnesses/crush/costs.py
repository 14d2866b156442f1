"""Which part of a session's running cost is its own (formats/crush.md, "Cost: cumulative and rolled up").

When a sub-agent has answered, the producer adds the child's cost to the parent's row, and afterwards writes the result
into the conversation. A failed or cancelled child is not added. So the parent's cost holds exactly those children whose
call has a result that is no error; and a parent is left out while it cannot be told on which side of the addition the
database was read. That way the own cost of a session never shrinks, and all own costs add up to those of the sessions
without a parent.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from trueup_agent.harnesses.json_text import UNREADABLE
from trueup_agent.harnesses.tables import Row

_DIGITS = 9  # of USD: sums of floats differ in the last digits, and a total that shrinks by those would begin anew
_UNFINISHED = frozenset((None, "", "tool_use", "unknown"))
_FAILED = frozenset(("canceled", "error", "permission_denied"))

State = Literal["added", "apart", "unsettled"]

_decode = msgspec.json.Decoder().decode


def own_costs(sessions: Mapping[str, Row]) -> dict[str, float]:
    """By session; not those whose cost is unknown, unsettled or never reaches a session without a parent."""
    children: dict[str, list[Row]] = {}
    for row in sessions.values():
        if row["parent_session_id"] in sessions:
            children.setdefault(row["parent_session_id"], []).append(row)
    states = {row["id"]: _state(row, sessions[parent]) for parent, below in children.items() for row in below}
    for parent, below in children.items():
        # Two sub-agents that end at once may be added as one: then nobody knows which, and the parent's cost stands.
        if _added(below, states) > cost(sessions[parent]) + 10**-_DIGITS:
            states |= {child["id"]: "apart" for child in below}
    own = {}
    for id_, row in sessions.items():
        below = children.get(id_, [])
        if _counts(row, sessions, states) and all(states[child["id"]] != "unsettled" for child in below):
            own[id_] = max(round(cost(row) - _added(below, states), _DIGITS), 0.0)
    return own


def _added(children: Iterable[Row], states: Mapping[str, State]) -> float:
    return sum(cost(child) for child in children if states[child["id"]] == "added")


def cost(row: Row) -> float:
    value = row["cost"]
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else 0.0


def _counts(row: Row, sessions: Mapping[str, Row], states: Mapping[str, State]) -> bool:
    """Is it a session without a parent, or added to one, through others or not?"""
    passed = set()
    while row["parent_session_id"] is not None:
        if row["id"] in passed or states.get(row["id"]) != "added":
            return False
        passed.add(row["id"])
        row = sessions[row["parent_session_id"]]
    return True


def _state(child: Row, parent: Row) -> State:
    result = _result(child["result_parts"], call_id(child["id"]))
    if result is not None:
        return "apart" if result.get("is_error") is True else "added"
    if not child["is_called"]:
        return "added"  # nothing tells how it came about; the parent's cost is said to hold it
    reason = _finish(child["last_parts"])
    if reason in _UNFINISHED or reason in _FAILED or _seconds(parent) < _seconds(child):
        return "apart"
    return "added" if _seconds(parent) > _seconds(child) else "unsettled"


def call_id(session_id: str) -> str:
    """Of the call that made it: `<message>$$<call>`, in older releases the call alone."""
    return session_id.partition("$$")[2] or session_id


def _seconds(row: Row) -> float:
    return row["updated_at"] if type(row["updated_at"]) in (int, float) else 0


def _result(parts: Any, call: str) -> dict[str, Any] | None:
    results = (data for kind, data in parts_of(parts) if kind == "tool_result")
    return next((data for data in results if data.get("tool_call_id") == call), None)


def _finish(parts: Any) -> Any:
    """Why the answer ended; None while it has not."""
    reasons = [data.get("reason") for kind, data in parts_of(parts) if kind == "finish"]
    return reasons[-1] if reasons and isinstance(reasons[-1], str) else None


def parts_of(parts: Any) -> list[tuple[Any, dict[str, Any]]]:
    """(type, data) of a message's parts."""
    try:
        decoded = _decode(parts) if isinstance(parts, str) else None
    except UNREADABLE:
        return []
    if not isinstance(decoded, list):
        return []
    found = ((part.get("type"), part.get("data")) for part in decoded if isinstance(part, dict))
    return [(kind, data) for kind, data in found if isinstance(data, dict)]
