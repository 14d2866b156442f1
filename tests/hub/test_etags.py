"""A page that asks again moves nothing while nothing has changed."""

import pytest

from hub_client import API, HubClient
from usage_data import event, machine

PATHS = ["analytics/summary", "hosts", "analytics/heatmap?format=csv"]


@pytest.mark.parametrize("path", PATHS)
async def test_who_has_this_very_answer_gets_no_body_and_new_usage_makes_another(hub: HubClient, path: str) -> None:
    ana, headers = await machine(hub.db, "ana"), await hub.token()
    await ana.send(event("e1", "s1", "2026-11-03T10:00Z", input_tokens=1))
    first = await hub.http.get(f"{API}/{path}", headers=headers)
    assert first.status == 200
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = headers | {"If-None-Match": first.headers["ETag"]}
    again = await hub.http.get(f"{API}/{path}", headers=known)
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    head = await hub.http.head(f"{API}/{path}", headers=headers)
    assert (head.status, head.headers["ETag"], await head.read()) == (200, first.headers["ETag"], b"")
    await ana.send(event("e2", "s1", "2026-11-03T11:00Z", input_tokens=1))
    later = await hub.http.get(f"{API}/{path}", headers=known)
    assert later.status == 200
    assert later.headers["ETag"] != first.headers["ETag"]


async def test_an_error_is_no_answer_to_keep(hub: HubClient) -> None:
    headers = await hub.token() | {"If-None-Match": "*"}
    refused = await hub.http.get(f"{API}/analytics/summary?from=x", headers=headers)
    assert (refused.status, refused.headers.get("ETag")) == (400, None)
