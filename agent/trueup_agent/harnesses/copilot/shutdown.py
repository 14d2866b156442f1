"""Shutdowns of a session: running totals per model over all of its runs, and what each run added to them.

formats/copilot.md, "Tokens": the totals go on when the session is resumed, and begin anew after a compaction. The money
goes with them: premium requests per model, AI units per model (later builds) or of the whole session.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.copilot.state import State, Total
from trueup_agent.harnesses.copilot.usage import COMPONENTS, vector


class Leg(NamedTuple):
    """What one run used of one model. `raw` holds both totals, `money` fields of an event."""

    model: str
    raw: dict[str, Any]
    money: dict[str, Any]


def legs(s: State, metrics: Any, session_nano_aiu: Any) -> Iterator[Leg]:
    """One for each model that the run used. The state then holds the new totals."""
    if not isinstance(metrics, Mapping):
        return
    alone = len(metrics) == 1
    of_session, s.nano_aiu = s.nano_aiu, _amount(session_nano_aiu)
    for name, metric in metrics.items():
        model = values.text(name)
        usage = metric.get("usage") if isinstance(metric, Mapping) else None
        if model is None or not isinstance(usage, Mapping) or not any(n is not None for n in vector(usage)):
            continue
        requests = metric.get("requests")
        total = Total(
            {part: n for part, n in zip(COMPONENTS, vector(usage), strict=True) if n is not None},
            _amount(requests.get("cost") if isinstance(requests, Mapping) else None),
            _amount(metric.get("totalNanoAiu")),
        )
        before, s.totals = s.totals.get(model), s.totals | {model: total}
        raw: dict[str, Any] = {"shutdown": total.usage}
        if before is not None:
            raw["previous"] = before.usage
            if vector(before.usage) == vector(total.usage):
                continue  # this run did not use it
        units = _added(total.nano_aiu, before.nano_aiu if before else None)
        if units is None and alone:
            units = _added(s.nano_aiu, of_session)
        premium = _added(total.premium_requests, before.premium_requests if before else None)
        yield Leg(model, raw, genai.ai_units(units) or _premium(premium))


def _amount(value: Any) -> float | None:
    return value if type(value) in (int, float) and 0 <= value < values.LATEST else None


def _added(now: float | None, before: float | None) -> float | None:
    """Premium requests come in thirds and tenths: what binary fractions add is rounded off."""
    return now if now is None or before is None or now < before else round(now - before, 9)


def _premium(requests: float | None) -> dict[str, Any]:
    """Requests by the weight of their model. They are no money."""
    cost = values.amount(requests)
    if cost is None:
        return {}
    return {"reported_cost": cost, "reported_cost_unit": "premium_requests", "reported_cost_status": "reported"}
