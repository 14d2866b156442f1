"""A host has several ledgers over its life: what that says of its state, and when two machines share its credential."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from hub_client import API, HubClient
from ledgers import Ledger, add_host, event, event_key
from trueup_hub.db import Database
from trueup_hub.hosts import list_hosts
from trueup_hub.ingest import contact
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.reports import HostReport
from trueup_hub.trust import complete_up_to
from trueup_shared import wire
from trueup_shared.harnesses import DATA_VERSIONS

TODAY = {"claude": wire.ParserVersion(DATA_VERSIONS["claude"], DATA_VERSIONS["claude"])}


@pytest.fixture
async def host(db: Database) -> tuple[int, str]:
    return await add_host(db, "ana")


async def send(db: Database, host: tuple[int, str], name: str, number: int = 1, **fields: Any) -> Ledger:
    """A ledger of that host that pushed an event."""
    ledger = Ledger(db, host, name)
    ledger.versions = TODAY
    ledger.put(event_key(number), event(number))
    await ledger.send(ledger.batch(**fields))
    return ledger


async def again(ledger: Ledger, number: int) -> None:
    ledger.put(event_key(number), event(number))
    await ledger.push()


async def report(db: Database, after: timedelta = timedelta(0)) -> HostReport:
    [found] = await list_hosts(db, now=datetime.now(UTC) + after)
    return found


def states(found: HostReport) -> dict[str, str]:
    return {str(ledger.ledger_id): ledger.state for ledger in found.ledgers}


async def test_a_superseded_ledger_does_not_count_and_says_what_replaced_it(
    db: Database, host: tuple[int, str]
) -> None:
    old = await send(db, host, "old")
    old.put(event_key(2), event(2))
    await old.send(old.batch(head_digest=bytes(16)))
    assert (await report(db)).state == "diverged"
    new = await send(db, host, "new", 3, replaces=[old.ledger_id])
    await supersede_pending(db)
    found = await report(db)
    assert (found.state, found.flags) == ("converged", [])
    assert states(found) == {old.ledger_id: "superseded", new.ledger_id: "converged"}
    [first, second] = found.ledgers
    assert (str(first.replaced_by), first.live, first.superseded_at is None) == (new.ledger_id, False, False)
    assert (second.replaces, second.live) == ([UUID(old.ledger_id)], True)


async def test_a_ledger_that_was_replaced_counts_until_its_successor_has_sent_something(
    db: Database, host: tuple[int, str]
) -> None:
    old, new = await send(db, host, "old"), Ledger(db, host, "new")
    await contact(db, host[0], new.ledger_id, [old.ledger_id])
    assert (await report(db)).state == "converged"  # not `never`
    new.put(event_key(1), event(1))
    new.put(event_key(2), event(2))
    await new.push(1)
    assert (await report(db)).state == "behind"


async def test_a_ledger_that_is_heard_of_after_its_successor_is_another_machine(
    db: Database, host: tuple[int, str]
) -> None:
    old = await send(db, host, "old")
    await send(db, host, "new", 2, replaces=[old.ledger_id])
    assert (await report(db)).state == "converged"
    await again(old, 3)
    found = await report(db)
    assert (found.state, states(found)[old.ledger_id]) == ("forked", "forked")
    flags = {flag.flag: flag for flag in found.flags}
    assert flags.keys() == {"needs_resync", "shared_credential"}
    assert old.ledger_id in flags["shared_credential"].reason
    assert "rekey" in flags["shared_credential"].action


async def test_machines_of_one_image_that_replaced_the_same_ledger_are_told_apart_too(
    db: Database, host: tuple[int, str]
) -> None:
    image = await send(db, host, "image")
    first = await send(db, host, "first boot", 2, replaces=[image.ledger_id])
    await send(db, host, "second boot", 3, replaces=[image.ledger_id])
    assert (await report(db)).state == "converged"  # the image may have been booted anew
    await again(first, 4)
    assert states(await report(db))[first.ledger_id] == "forked"


async def test_it_is_over_when_one_of_the_two_machines_is_heard_of_no_more(db: Database, host: tuple[int, str]) -> None:
    old = await send(db, host, "old")
    await send(db, host, "new", 2, replaces=[old.ledger_id])
    await again(old, 3)
    assert (await report(db)).state == "forked"
    for column in ("heard_at", "last_batch_at"):
        await db.execute(
            f"UPDATE ledgers SET {column} = {column} - interval '16 min' WHERE ledger_id = $1", old.ledger_id
        )
    found = await report(db)
    assert (found.state, found.flags) == ("converged", [])


async def test_a_superseded_ledger_that_is_back_counts_again(db: Database, host: tuple[int, str]) -> None:
    old = await send(db, host, "old")
    new = await send(db, host, "new", replaces=[old.ledger_id])
    await supersede_pending(db)
    await contact(db, host[0], old.ledger_id, [new.ledger_id])  # put back from a backup, it says so
    for column in ("heard_at", "last_batch_at", "first_contact_at"):  # the other one is gone for long
        await db.execute(f"UPDATE ledgers SET {column} = {column} - interval '1 h' WHERE ledger_id = $1", new.ledger_id)
    found = await report(db)
    assert states(found)[old.ledger_id] == "behind"
    assert (found.state, complete_up_to(found)) == ("behind", None)


async def test_trust_counts_live_ledgers_only(hub: HubClient) -> None:
    host = await add_host(hub.db, "ana")
    old = await send(hub.db, host, "old")
    await contact(hub.db, host[0], old.ledger_id, [])
    await hub.db.execute(
        "INSERT INTO host_status (host_no, ledger_no, seen_at, sent_at, head_seq, rows, pending, old_data)"
        " SELECT host_no, ledger_no, now(), now(), 100, 1, 99, 7 FROM ledgers"
    )
    await send(hub.db, host, "new", replaces=[old.ledger_id])
    await supersede_pending(hub.db)
    response = await hub.http.get(f"{API}/trust", headers=await hub.token())
    trust = (await response.json())["trust"]
    assert (trust["hosts"]["converged"], trust["pending_changes"], trust["old_data"]) == (1, 0, 0)
    assert trust["complete_up_to"] is not None
