"""Shutdowns of a session: running totals per model over all of its runs, and what each run added to them.

formats/copilot.md, "Tokens": the totals go on when the session is resumed, and begin anew after a compaction. The money
goes with them: premium requests per model, AI units per model (later builds) or of the whole session.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trueup_agent.harnesses import values
from trueup_agent.harnesses.copilot.state import State, Total
from trueup_agent.harnesses.copilot.usage import COMPONENTS, vector

NANO_AIU, PREMIUM_REQUESTS = "nano_aiu", "premium_requests"


class Leg(NamedTuple):
    """What one run used of one model. `raw` holds both totals."""

    model: str
    raw: dict[str, Any]
    cost: str | None
    unit: str | None

    def money(self) -> dict[str, str | None]:
        """Fields of an event."""
        status = "reported" if self.cost is not None else None
        return {"reported_cost": self.cost, "reported_cost_unit": self.unit, "reported_cost_status": status}


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
            {part: usage[part] for part in COMPONENTS if isinstance(usage.get(part), int | float)},
            _amount(requests.get("cost") if isinstance(requests, Mapping) else None),
            _amount(metric.get("totalNanoAiu")),
        )
        before, s.totals = s.totals.get(model), s.totals | {model: total}
        raw: dict[str, Any] = {"shutdown": total.usage}
        if before is not None:
            raw["previous"] = before.usage
            if vector(before.usage) == vector(total.usage):
                continue  # this run did not use it
        cost, unit = _added(total.nano_aiu, before.nano_aiu if before else None), NANO_AIU
        if cost is None and alone:
            cost = _added(s.nano_aiu, of_session)
        if cost is None:
            cost, unit = _added(total.premium_requests, before.premium_requests if before else None), PREMIUM_REQUESTS
        yield Leg(model, raw, cost, unit if cost is not None else None)


def _amount(value: Any) -> float | None:
    return value if type(value) in (int, float) and 0 <= value < values.LATEST else None


def _added(now: float | None, before: float | None) -> str | None:
    """Decimal text. Premium requests come in thirds and tenths, so what binary fractions add is rounded off."""
    if now is None:
        return None
    return _decimal(now if before is None or now < before else round(now - before, 9))


def _decimal(value: float) -> str | None:
    return str(value) if type(value) is int else values.amount(value)
