"""CSV says what JSON says, of a fleet whose names are made to break it."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import population_fleet as fleet
from hub_client import API, HubClient, start_hub
from population import Facts
from trueup_hub.settings import HubSettings

# route -> where its lines are in JSON, and what may be asked besides
LISTS: dict[str, tuple[str, list[dict[str, str]]]] = {
    "analytics/summary": ("", [{}]),
    "analytics/breakdown": ("rows", [{"by": by} for by in ("model", "host", "project", "label:team")]),
    "analytics/heatmap": ("entries", [{"metric": name} for name in ("total_tokens", "cost", "sessions")]),
    "analytics/hour-of-week": ("cells", [{"metric": name} for name in ("output_tokens", "cache_savings", "messages")]),
    "analytics/top-sessions": ("sessions", [{"metric": "reasoning_tokens"}, {"metric": "cost", "limit": "100"}]),
    "analytics/activity": ("series", [{"granularity": "week", "group_by": "project"}, {"group_by": "host"}]),
    "sessions": ("sessions", [{"limit": "500"}, {"limit": "3", "sort": "cost"}]),
    "trust": ("hosts", [{}]),
}
asked = st.sampled_from([(path, items, more) for path, (items, mores) in LISTS.items() for more in mores])


@pytest.fixture
async def hub(aiohttp_client: Any, facts: Facts, tmp_path: Path) -> HubClient:
    return await start_hub(aiohttp_client, facts.db, HubSettings(data_dir=tmp_path))


@settings(max_examples=fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)
@given(fleet.queries, asked)
async def test_csv_is_json(hub: HubClient, query: dict[str, str], ask: tuple[str, str, dict[str, str]]) -> None:
    path, items, more = ask
    headers = await reader(hub)
    answer = await hub.http.get(f"{API}/{path}", params=query | more, headers=headers)
    table = await hub.http.get(f"{API}/{path}", params=query | more | {"format": "csv"}, headers=headers)
    assert (answer.status, table.status) == (200, 200)
    found, text = await answer.json(), await table.text()
    lines = list(csv.DictReader(io.StringIO(text[: text.index("\r\n#") + 2], newline=""), strict=True))
    expected = [found] if not items else found[items]
    if items == "series":
        expected = [one | point for one in found["series"] for point in one["points"]]
    assert len(lines) == len(expected)
    for line, item in zip(lines, expected, strict=True):
        said = flat(item)
        assert said.keys() - line.keys() <= {"from", "to", "timezone", "counted"}  # these stand below
        assert {name: unguarded(line[name]) for name in said.keys() & line.keys()} == {
            name: said[name] for name in said.keys() & line.keys()
        }
    beside = dict(comment.partition(": ")[::2] for comment in text[text.index("\r\n#") + 4 :].split("\r\n# "))
    for name in ("from", "to", "timezone", "counted"):
        assert beside[name].strip() == found[name]
    for name in ("set_aside_duplicates", "unpriced_tokens", "conflicting_copies", "old_data"):
        assert beside[f"trust.{name}"].strip() == str(found["trust"][name])


async def reader(hub: HubClient) -> dict[str, str]:
    if not hasattr(hub.auth, "for_tests"):
        hub.auth.for_tests = await hub.token()  # type: ignore[attr-defined]
    headers: dict[str, str] = hub.auth.for_tests  # type: ignore[attr-defined]
    return headers


def unguarded(text: str | None) -> str:
    """As docs/api.md says: whoever takes one apostrophe off has the value."""
    assert text is not None
    return text.removeprefix("'")


def flat(item: dict[str, Any]) -> dict[str, str]:
    """Names and texts of the values of one line; unknown is empty."""
    row: dict[str, Any] = {name: value for name, value in item.items() if not isinstance(value, dict | list)}
    row |= item.get("totals") or {}
    coverage: dict[str, Any] = item.get("coverage") or {}
    if "events" in coverage:
        row |= coverage
    else:
        row |= {f"{name}_{part}": one[part] for name, one in coverage.items() for part in one if part != "events"}
    return {name: "" if value is None else str(value) for name, value in row.items()}
