"""Codes for new machines, as a page of the dashboard asks for them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hub_client import API, HubClient, bearer, enrolment, problem

CODES = f"{API}/enroll-codes"


async def made(hub: HubClient, **body: Any) -> dict[str, Any]:
    response = await hub.http.post(CODES, json=body, headers=await hub.token("admin"))
    assert response.status == 201, await response.text()
    assert response.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = await response.json()
    return found


async def enrolled(hub: HubClient, code: str, label: str) -> int:
    request = enrolment(code, label=label)
    return (await hub.http.post(f"{API}/enroll", json=msgspec.to_builtins(request))).status


async def test_a_machine_comes_in_with_a_code_that_an_administrator_was_given_and_gets_its_labels(
    hub: HubClient,
) -> None:
    code = await made(hub, uses=2, expires_seconds=3600, labels={"team": "web"})
    assert (code["uses"], code["code"][:4]) == (2, "tue_")
    assert abs(datetime.fromisoformat(code["expires_at"]) - datetime.now(UTC) - timedelta(hours=1)).total_seconds() < 60
    assert [await enrolled(hub, code["code"], label) for label in ("ana", "bob", "eve")] == [200, 200, 409]
    rows = await hub.db.fetch("SELECT label, labels FROM hosts ORDER BY host_no")
    assert [tuple(row) for row in rows] == [("ana", {"team": "web"}), ("bob", {"team": "web"})]


async def test_what_is_not_said_is_one_machine_within_a_day_and_null_is_no_bound(hub: HubClient) -> None:
    response = await hub.http.post(CODES, headers=await hub.token("admin"))
    usual = await response.json()
    assert usual["uses"] == 1
    life = datetime.fromisoformat(usual["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < life <= timedelta(days=1)
    code = await made(hub, uses=None, expires_seconds=None)
    assert (code["uses"], code["expires_at"]) == (None, None)
    assert [await enrolled(hub, code["code"], f"machine {n}") for n in range(3)] == [200] * 3


async def test_who_made_a_code_is_noted_and_the_code_itself_is_kept_nowhere(hub: HubClient) -> None:
    code = await made(hub, labels={"site": "x"})
    [note] = await hub.db.fetch("SELECT actor, subject, detail FROM audit WHERE action = 'enroll_code.make'")
    assert (note["actor"], note["detail"]["labels"]) == ("test admin", {"site": "x"})
    [row] = await hub.db.fetch("SELECT * FROM enroll_codes")
    assert str(row["enroll_code_no"]) == note["subject"]
    assert code["code"] not in f"{dict(row)}{json.dumps(note['detail'])}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"uses": 0}, "malformed"),
        ({"uses": 1_000_001}, "malformed"),
        ({"expires_seconds": 0}, "malformed"),
        ({"expires_seconds": 10**12}, "malformed"),
        ({"expires": 60}, "malformed"),
        ({"labels": {"te:am": "web"}}, "bad_label"),
        ({"labels": {"": "web"}}, "bad_label"),
        ({"labels": {"team": "a\0b"}}, "malformed"),
    ],
)
async def test_what_no_code_can_have_is_refused_and_none_is_made(
    hub: HubClient, body: dict[str, Any], code: str
) -> None:
    await problem(await hub.http.post(CODES, json=body, headers=await hub.token("admin")), 400, code)
    assert await hub.db.fetchval("SELECT count(*) FROM enroll_codes") == 0


async def test_only_an_administrator_is_given_one_and_no_page_of_another_site_gets_it(hub: HubClient) -> None:
    host = await hub.host()
    await problem(await hub.http.post(CODES, headers=await hub.token("viewer")), 403, "forbidden")
    await problem(await hub.http.post(CODES, headers=bearer(host.credential)), 403, "forbidden")
    await problem(await hub.http.post(CODES), 401, "unauthorized")
    elsewhere = await hub.token("admin") | {"Origin": "https://elsewhere.example"}
    await problem(await hub.http.post(CODES, headers=elsewhere), 403, "wrong_origin")
    assert await hub.db.fetchval("SELECT count(*) FROM enroll_codes") == 1  # of the host above
