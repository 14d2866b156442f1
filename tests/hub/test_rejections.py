"""Rows that the hub could not accept, one by one: what `rejected` of every trust block counts."""

import csv
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from hub_client import API, HubClient, problem
from ledgers import Ledger, add_host, event, event_key, message_key, session
from population import Facts
from population_fleet import asked
from trueup_hub.analytics.scope import chosen_hosts
from trueup_hub.ingest import contact
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.params import Query
from trueup_hub.rejections import TAKES, RejectedRow, list_rejections
from trueup_hub.trust import trust_report
from trueup_shared import keys

REJECTIONS = f"{API}/rejections"


async def answered(hub: HubClient, **query: str) -> dict[str, Any]:
    response = await hub.http.get(REJECTIONS, params=query, headers=await hub.token())
    assert response.status == 200, await response.text()
    found: dict[str, Any] = await response.json()
    return found


async def test_a_row_says_whose_it_is_and_why_it_was_refused(hub: HubClient) -> None:
    ledger = Ledger(hub.db, await add_host(hub.db, "ana"))
    ledger.put(event_key(1), event(1))
    ledger.put(keys.session_key("claude", "s1"), session())
    await ledger.push()
    ledger.put_raw(keys.EVENTS, event_key(1), {"11": -5})
    ledger.put_raw(keys.MESSAGES, message_key(7), "no map")
    await ledger.push()
    found = await answered(hub)
    assert (found["total"], found["next_cursor"]) == (2, None)
    shown = {one["table"]: one for one in found["rejections"]}
    of_event = shown["events"]
    assert of_event["host"] == {"id": ledger.host_id, "label": "ana"}
    assert (of_event["ledger_id"], of_event["key"], of_event["seq"]) == (ledger.ledger_id, event_key(1).hex(), 3)
    assert (of_event["code"], of_event["batch_no"], of_event["agent_version"]) == ("bad_value", 2, "0.1.0")
    assert of_event["reason"]
    assert (of_event["older_version"], shown["messages"]["older_version"]) == (True, False)
    ledger.put(event_key(1), event(1))
    await ledger.push()
    assert [one["table"] for one in (await answered(hub))["rejections"]] == [
        "messages"
    ]  # accepted, it is none any more


async def test_a_row_whose_key_cannot_be_read_has_none(hub: HubClient) -> None:
    ledger = Ledger(hub.db, await add_host(hub.db, "ana"))
    batch = ledger.batch()
    batch.tombstones.append(Raw(b"\x01"))
    batch.events.append(Raw(b"\x02"))
    await ledger.send(batch)
    shown = (await answered(hub))["rejections"]
    assert sorted((one["table"], one["key"], one["seq"], one["code"]) for one in shown) == [
        ("events", None, None, "bad_row"),
        ("tombstones", None, None, "bad_row"),
    ]


async def test_the_latest_come_first_and_pages_have_each_once(hub: HubClient) -> None:
    ana, bob = await add_host(hub.db, "ana"), await add_host(hub.db, "bob", 1)
    ledgers = [Ledger(hub.db, ana), Ledger(hub.db, bob)]
    for n in range(3):
        for ledger in ledgers:
            for table in (keys.EVENTS, keys.MESSAGES, keys.SESSIONS):  # one key in three tables, refused at one moment
                ledger.put_raw(table, event_key(n), {"1": 5})
            await ledger.push()
    whole = (await answered(hub))["rejections"]
    assert [one["rejected_at"] for one in whole] == sorted((one["rejected_at"] for one in whole), reverse=True)
    assert len({(one["ledger_id"], one["table"], one["key"]) for one in whole}) == 18
    paged, page = [], await answered(hub, limit="4")
    while True:
        paged += page["rejections"]
        assert page["total"] == 18
        if page["next_cursor"] is None:
            break
        page = await answered(hub, limit="4", cursor=page["next_cursor"])
    assert paged == whole
    of_bob = await answered(hub, host="bob", limit="8")
    assert (of_bob["total"], {one["host"]["label"] for one in of_bob["rejections"]}) == (9, {"bob"})
    headers, elsewhere = await hub.token(), {"cursor": of_bob["next_cursor"]}
    await problem(await hub.http.get(REJECTIONS, params=elsewhere, headers=headers), 400, "bad_parameter")
    await problem(await hub.http.get(REJECTIONS, params={"host": "eve"}, headers=headers), 400, "unknown_value")


async def test_a_ledger_whose_place_another_took_tells_nothing_any_more(hub: HubClient) -> None:
    host = await add_host(hub.db, "ana")
    old, new = Ledger(hub.db, host, "old"), Ledger(hub.db, host, "new")
    old.put_raw(keys.EVENTS, event_key(1), {"11": -5})
    await old.push()
    assert (await answered(hub))["total"] == 1
    await contact(hub.db, host[0], old.ledger_id, [])
    new.put(event_key(2), event(2))
    await new.send(new.batch(replaces=[old.ledger_id]))
    await supersede_pending(hub.db)
    assert await answered(hub) == {"rejections": [], "total": 0, "next_cursor": None}


async def test_rows_come_as_csv_and_unchanged_they_are_not_sent_again(hub: HubClient) -> None:
    ledger = Ledger(hub.db, await add_host(hub.db, "ana"))
    ledger.put_raw(keys.EVENTS, event_key(1), {"11": -5})
    await ledger.push()
    headers = await hub.token()
    response = await hub.http.get(REJECTIONS, headers=headers | {"Accept": "text/csv"})
    head, line, *beside = (await response.text()).splitlines()
    cells = dict(zip(head.split(","), next(csv.reader([line])), strict=True))
    assert (cells["host_label"], cells["key"], cells["older_version"]) == ("ana", event_key(1).hex(), "false")
    assert beside == ["# total: 1", "# next_cursor:"]
    known = headers | {"If-None-Match": (await hub.http.get(REJECTIONS, headers=headers)).headers["ETag"]}
    assert (await hub.http.get(REJECTIONS, headers=known)).status == 304


async def pages(facts: Facts, query: dict[str, str], limit: int) -> AsyncIterator[tuple[list[RejectedRow], int]]:
    asks, cursor = Query(query.items(), TAKES), None
    async with facts.db.snapshot() as connection:
        numbers = await chosen_hosts(connection, asks["host"], asks.labels())
        while True:
            page = await list_rejections(connection, numbers, limit, cursor)
            yield page.rejections, page.total
            if (cursor := page.next_cursor) is None:
                return


@pytest.mark.parametrize(
    "query", [{}, {"host": "ana"}, {"host": "bob,retired"}, {"label": "team:web"}, {"label": "team:"}]
)
async def test_there_are_as_many_as_the_trust_block_counts(facts: Facts, query: dict[str, str]) -> None:
    counted = (await trust_report(facts.db, asked(query))).trust.rejected
    found = [page async for page in pages(facts, query, 4)]
    listed = [(one.ledger_id, one.table, one.key) for page, _ in found for one in page]
    assert counted > 0
    assert len(listed) == len(set(listed)) == counted
    assert {total for _, total in found} == {counted}
