"""A list is whole, or says how it goes on, or is refused with what to narrow; never cut in silence."""

from typing import Any
from uuid import UUID

import pytest

from hub_client import API, HubClient, problem
from ledgers import add_host
from trueup_hub import sources, trust
from trueup_hub.analytics import breakdown, session
from usage_data import event, machine, session_key
from usage_data import session as row_of_session


async def asked(hub: HubClient, path: str) -> Any:
    response = await hub.http.get(f"{API}/{path}", headers=await hub.token())
    assert response.status == 200, await response.text()
    return await response.json()


async def test_hosts_come_in_pages_that_add_up_even_where_enrolment_was_at_the_same_moment(hub: HubClient) -> None:
    for label in "abcdefg":
        await add_host(hub.db, label)
    await hub.db.execute("UPDATE hosts SET enrolled_at = '2026-11-02T10:00:00.123457Z' WHERE label IN ('b', 'c', 'd')")
    whole = await asked(hub, "hosts")
    assert (len(whole["hosts"]), whole["next_cursor"]) == (7, None)
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = await asked(hub, f"hosts?limit=2{f'&cursor={cursor}' if cursor else ''}")
        found += page["hosts"]
        cursor, pages = page["next_cursor"], pages + 1
    assert pages == 4
    assert [host["host_id"] for host in found] == [host["host_id"] for host in whole["hosts"]]
    response = await hub.http.get(f"{API}/hosts?limit=5&format=csv", headers=await hub.token())
    assert "# next_cursor: " in await response.text()
    for wrong in ("limit=0", "limit=10001", "cursor=AAAA"):
        await problem(await hub.http.get(f"{API}/hosts?{wrong}", headers=await hub.token()), 400, "bad_parameter")


async def test_of_very_many_sources_those_that_lost_something_are_listed_and_all_are_counted(
    hub: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_SOURCES", 3)
    ana = await machine(hub.db, "ana")
    await ana.send(row_of_session("s", None))
    await hub.db.execute(
        "INSERT INTO sources (host_no, ledger_no, source_key, harness, state, bytes_read, lines, skipped_lines,"
        " unknown_records) SELECT host_no, ledger_no, gen_random_uuid(), 0, 'ok', 0, 0, (n = 5)::int, 0"
        " FROM ledgers, generate_series(1, 9) n"
    )
    host_id = UUID(bytes=await hub.db.fetchval("SELECT host_id FROM hosts"))
    host = await asked(hub, f"hosts/{host_id}")
    assert ([source["skipped_lines"] for source in host["sources"]], host["sources_total"]) == ([1, 0, 0], 9)


async def test_children_of_a_session_are_listed_up_to_a_number_and_counted(
    hub: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_MOST_CHILDREN", 2)
    ana, parent = await machine(hub.db, "ana"), session_key("s")
    await ana.send(
        row_of_session("s", None), *(row_of_session(f"child {n}", None, parent_key=parent) for n in range(5))
    )
    found = await asked(hub, f"sessions/{parent.hex()}")
    assert (len(found["children"]), found["children_total"]) == (2, 5)


@pytest.mark.parametrize(
    ("module", "limit", "path"),
    [(breakdown, "MAX_PARTS", "analytics/breakdown?by=model"), (trust, "MAX_HOSTS", "trust")],
)
async def test_more_rows_than_an_answer_can_have_are_refused_with_what_to_narrow(
    hub: HubClient, monkeypatch: pytest.MonkeyPatch, module: Any, limit: str, path: str
) -> None:
    for label in "ab":
        sent = await machine(hub.db, label)
        await sent.send(event(label, "s", "2026-11-02T10:00Z", model=label, output_tokens=1))
    await asked(hub, path)
    monkeypatch.setattr(module, limit, 1)
    document = await problem(await hub.http.get(f"{API}/{path}", headers=await hub.token()), 400, "too_many_points")
    assert (document["limit"], "filter" in document["detail"]) == (1, True)
