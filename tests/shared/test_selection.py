"""What clients want, coerced to what a hub has: the same cases that the dashboard is held to (test/coerce.test.ts)."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_shared.selection import coerce, endpoints, why_unknown

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "selection.json").read_text())
HUBS = GOLDEN["hubs"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["says"])
def test_what_is_put_back_is_put_back_with_its_reason(case: dict[str, Any]) -> None:
    found = coerce(HUBS[case["hub"]], case["endpoint"], case["wanted"], case["usual"])
    assert json.loads(msgspec.json.encode(found)) == case["coerced"]


@pytest.mark.parametrize("case", GOLDEN["unknown"], ids=lambda case: f"{case['metric']} {case['harnesses']}")
def test_a_metric_that_no_harness_reports_has_its_reason(case: dict[str, Any]) -> None:
    assert why_unknown(HUBS[case["hub"]], case["metric"], case["harnesses"]) == case["why"]


@pytest.mark.parametrize("hub", ["0.1.0", "0.2.0", "later"])
def test_what_a_hub_of_any_release_can_be_asked_is_listed(hub: str) -> None:
    listed = endpoints(HUBS[hub])
    assert "analytics/heatmap" in listed
    assert not [name for name in listed if "endpoint" in {one.parameter for one in coerce(HUBS[hub], name, {}).changes}]
    assert not [name for name in listed if "{" in name or name == "events"]


@given(
    st.sampled_from(GOLDEN["cases"]), st.lists(st.tuples(st.sampled_from(("kind", "default")), anything), min_size=1)
)
def test_no_declaration_of_parameters_however_odd_makes_a_client_fail(
    case: dict[str, Any], odd: list[tuple[str, Any]]
) -> None:
    takes = {name: dict(odd) for name in ("from", "to", "granularity", *case["wanted"])}
    coerce({"routes": {case["endpoint"]: takes}, "limits": {"activity_points": 5}}, case["endpoint"], case["wanted"])


@pytest.mark.parametrize("kind", ["text", [], {}, None])
def test_days_that_a_hub_calls_something_else_are_only_sent(kind: Any) -> None:
    takes = {name: {"kind": kind} for name in ("from", "to", "granularity")}
    hub = {"routes": {"analytics/activity": takes}, "limits": {"activity_points": 5}}
    wanted = {"from": ["soon"], "to": ["today"], "granularity": ["hour"]}
    assert coerce(hub, "analytics/activity", wanted).values == wanted


@given(st.data())
def test_no_document_of_capabilities_however_odd_makes_a_client_fail(data: st.DataObject) -> None:
    hub = dict(HUBS[data.draw(st.sampled_from(sorted(HUBS)))])
    for field in data.draw(st.sets(st.sampled_from(sorted(hub) or ["routes"]), max_size=4)):
        hub[field] = data.draw(anything)
    case = data.draw(st.sampled_from(GOLDEN["cases"]))
    assert endpoints(hub) == sorted(endpoints(hub))
    found = coerce(hub, case["endpoint"], case["wanted"])
    again = coerce(hub, case["endpoint"], found.values)
    assert (again.values, again.query) == (found.values, found.query)
    assert why_unknown(hub, "cost") is None or "cost" in str(hub)
