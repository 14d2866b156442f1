import json
import re
from pathlib import Path

from trueup_hub.capabilities import METRICS_BY_ENDPOINT
from trueup_hub.openapi.examples import load
from trueup_hub.params import COMMON
from trueup_hub.routes import ROUTES

API = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()


def test_every_route_of_the_api_is_documented_and_every_documented_one_exists() -> None:
    documented = set(re.findall(r"`((?:GET|POST|PATCH|DELETE) /[^`]*)`", API))
    routes = {f"{route.method} {route.path.removeprefix('/api/v1')}" for route in ROUTES if "/api/v1" in route.path}
    assert {unnamed(route) for route in documented} == {unnamed(route) for route in routes}


def unnamed(route: str) -> str:
    return re.sub(r"\{\w+\}", "{}", route)


def test_every_common_parameter_is_documented() -> None:
    assert not [one.name for one in COMMON if not re.search(rf"`{one.name}\b", API)]


def test_every_endpoint_with_metrics_is_documented() -> None:
    assert all(f"/{name}`" in API for name in METRICS_BY_ENDPOINT)


def test_the_example_of_coverage_is_what_a_hub_answered() -> None:
    """The examples themselves are asked anew in test_api_examples.py."""
    [week] = [one for one in load() if (one.operation, one.name) == ("get_analytics_summary", "week")]
    words = r"`coverage\.output_tokens = (\{.*?\})` says: of (\d+) requests\s+(\d+) .*?, (\d+) .*?, (\d+) by"
    shown = re.search(words, API)
    assert shown is not None
    coverage = json.loads(shown[1])
    assert coverage == week.answer["coverage"]["output_tokens"]
    assert [int(number) for number in shown.groups()[1:]] == list(coverage.values())
