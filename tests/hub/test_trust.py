from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub_client import API, HubClient
from trueup_hub.db import Database
from trueup_hub.hosts import list_hosts
from trueup_hub.params import Common, Query
from trueup_hub.trust import trust_report
from usage_data import Machine, event, machine

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def as_of_now() -> None:
    """Hosts are silent after a quarter of an hour: this module may have been imported longer ago."""
    global NOW
    NOW = datetime.now(UTC)


def asked(**query: str) -> Common:
    return Query(query.items()).common("UTC")


async def heartbeat(sender: Machine, head_seq: int, seen_at: datetime | None = None, **told: Any) -> None:
    """What the agent said last, as the hub keeps it."""
    seen_at = seen_at or NOW
    columns = {"seen_at": seen_at, "sent_at": seen_at, "head_seq": head_seq, "rows": 0, "pending": 0} | told
    places = ", ".join(f"${n}" for n in range(3, len(columns) + 3))
    await sender.db.execute(
        f"INSERT INTO host_status (host_no, ledger_no, {', '.join(columns)})"
        f" SELECT host_no, ledger_no, {places} FROM ledgers WHERE host_no = $1 AND ledger_id = $2",
        sender.host_no,
        sender.ledger_id,
        *columns.values(),
    )


async def five_hosts(db: Database) -> list[Machine]:
    """converged, behind, silent, diverged and never."""
    names = ["converged", "behind", "silent", "diverged", "never"]
    hosts = [await machine(db, name) for name in names]
    for sender in hosts[:4]:
        await sender.send(event(f"of {sender.label}", "s", "2026-11-03T10:00Z", output_tokens=1))
    await heartbeat(hosts[0], 1)
    await heartbeat(hosts[1], 341, old_data=7, source_gone=3, drift_suspected=["codex"])
    await heartbeat(hosts[2], 1, NOW - timedelta(hours=1))
    await db.execute("UPDATE ledgers SET last_batch_at = $1", NOW - timedelta(hours=2))
    await db.execute("UPDATE ledgers SET converged_at = $1, parsers = '{}'", NOW - timedelta(hours=2))
    await heartbeat(hosts[3], 1)
    await db.execute("UPDATE ledgers SET verdict = 'diverged' WHERE host_no = $1", hosts[3].host_no)
    return hosts


async def test_the_block_counts_hosts_by_their_one_state_and_adds_up_what_they_said(db: Database) -> None:
    await five_hosts(db)
    trust = (await trust_report(db, asked())).trust
    counts = {name: getattr(trust.hosts, name) for name in trust.hosts.__struct_fields__}
    assert counts == {"total": 5, **dict.fromkeys(("converged", "behind", "silent", "diverged", "never"), 1)} | {
        "forked": 0,
        "retired": 0,
    }
    assert (trust.needs_resync, trust.drift_suspected, trust.pending_changes) == (1, 1, 340)
    assert (trust.old_data, trust.source_gone, trust.rejected) == (7, 3, 0)
    assert trust.complete_up_to is None  # one host has never sent anything
    assert trust.scrubbed_at is None


async def test_the_block_is_filtered_like_the_aggregate_beside_it(db: Database) -> None:
    await five_hosts(db)
    trust = (await trust_report(db, asked(host="converged,behind"))).trust
    assert (trust.hosts.total, trust.hosts.converged, trust.pending_changes, trust.needs_resync) == (2, 1, 340, 0)
    assert trust.complete_up_to == NOW - timedelta(hours=2)  # by the one that is behind
    alone = (await trust_report(db, asked(host="converged"))).trust
    assert alone.complete_up_to == NOW  # its last heartbeat said that nothing came since


async def test_each_host_says_why_and_what_to_do(db: Database) -> None:
    await five_hosts(db)
    hosts = {host.label: host for host in (await trust_report(db, asked())).hosts}
    assert [host.state for host in hosts.values()] == ["converged", "behind", "silent", "diverged", "never"]
    assert all(host.reason for host in hosts.values())
    assert all(host.action for host in hosts.values() if host.state != "converged")
    assert "trueup pg push" in hosts["diverged"].action
    assert {flag.flag for flag in hosts["behind"].flags} >= {"drift_suspected", "old_data"}
    assert hosts["behind"].pending_changes == 340


async def test_a_retired_host_is_not_waited_for(db: Database) -> None:
    hosts = await five_hosts(db)
    await db.execute("UPDATE hosts SET retired_at = now() WHERE host_no = ANY($1)", [h.host_no for h in hosts[3:]])
    trust = (await trust_report(db, asked())).trust
    assert (trust.hosts.total, trust.hosts.retired, trust.needs_resync) == (3, 2, 0)
    assert trust.complete_up_to is not None


async def test_copies_set_aside_and_conflicts_are_counted_inside_the_range_and_the_filters(db: Database) -> None:
    ana, bob = await machine(db, "ana"), await machine(db, "bob")
    same = event("same", "s", "2026-11-03T10:00Z", model="m1", output_tokens=1)
    await ana.send(same, event("other", "s", "2026-11-04T10:00Z", model="m2", input_tokens=1, output_tokens=1))
    await bob.send(same, event("other", "s", "2026-11-04T10:00Z", model="m2", input_tokens=1, output_tokens=2))

    async def found(**query: str) -> tuple[int, int, int]:
        trust = (await trust_report(db, asked(**query))).trust
        return trust.set_aside_duplicates, trust.conflicting_copies, trust.unpriced_tokens

    assert await found() == (2, 1, 3)
    assert await found(to="2026-11-03") == (1, 0, 1)
    assert await found(model="m2") == (1, 1, 2)
    assert await found(host="bob") == (2, 1, 0)
    assert await found(host="ana") == (0, 0, 3)


async def test_the_route_answers_a_viewer(hub: HubClient) -> None:
    await five_hosts(hub.db)
    response = await hub.http.get(f"{API}/trust", headers=await hub.token())
    found = await response.json()
    assert response.status == 200
    assert found["trust"]["hosts"]["total"] == len(found["hosts"]) == 5
    assert found["trust"]["as_of"].endswith("Z")


async def test_changes_that_came_after_the_heartbeat_that_named_them_are_pending_no_more(db: Database) -> None:
    sender = await machine(db, "first ingest")
    await sender.send(event("a", "s", "2026-11-03T10:00Z", output_tokens=1))
    await heartbeat(sender, head_seq=1, pending=1)
    ((ledger,),) = [host.ledgers for host in await list_hosts(db)]
    assert (ledger.acked_seq, ledger.head_seq, ledger.pending) == (1, 1, 0)


async def test_the_block_of_some_hosts_is_the_sum_of_the_blocks_of_each(db: Database) -> None:
    labels = [host.label for host in await five_hosts(db)]
    await db.execute("UPDATE ledgers SET rejected = 2 WHERE host_no % 2 = 0")
    blocks = {label: (await trust_report(db, asked(host=label))).trust for label in labels}
    counted = ("needs_resync", "drift_suspected", "pending_changes", "old_data", "source_gone", "rejected")
    for chosen in (labels, labels[:3], labels[1:4:2]):
        whole = (await trust_report(db, asked(host=",".join(chosen)))).trust
        for name in counted:
            assert getattr(whole, name) == sum(getattr(blocks[label], name) for label in chosen), name
        for state in whole.hosts.__struct_fields__:
            assert getattr(whole.hosts, state) == sum(getattr(blocks[label].hosts, state) for label in chosen), state


async def test_every_answer_has_the_block_of_the_trust_route(hub: HubClient) -> None:
    await five_hosts(hub.db)
    headers, query = await hub.token(), "?host=behind&host=diverged&timezone=UTC"
    blocks = []
    for path in ("trust", "analytics/summary", "analytics/heatmap", "analytics/breakdown", "sessions"):
        response = await hub.http.get(
            f"{API}/{path}{query}" + "&by=model" * (path[-9:] == "breakdown"), headers=headers
        )
        blocks.append((await response.json())["trust"] | {"as_of": None})
    assert all(block == blocks[0] for block in blocks)
    assert blocks[0]["needs_resync"] == 1


async def test_nothing_is_complete_while_a_host_has_diverged(db: Database) -> None:
    await five_hosts(db)
    assert (await trust_report(db, asked(host="behind,converged"))).trust.complete_up_to is not None
    assert (await trust_report(db, asked(host="converged,diverged"))).trust.complete_up_to is None
    # More has come since, so that it is behind now; what was found altered is still not mended.
    await db.execute("UPDATE ledgers SET verdict = 'behind', corrected_at = now() WHERE verdict = 'diverged'")
    assert (await trust_report(db, asked(host="converged,diverged"))).trust.complete_up_to is None


async def test_rows_are_scrubbed_as_of_the_ledger_that_was_scrubbed_longest_ago(db: Database) -> None:
    hosts = await five_hosts(db)

    async def scrubbed_at() -> datetime | None:
        return (await trust_report(db, asked())).trust.scrubbed_at

    assert await scrubbed_at() is None
    for hours, host in enumerate(hosts[:3]):
        at = NOW - timedelta(hours=hours)
        await db.execute("UPDATE ledgers SET scrubbed_at = $1 WHERE host_no = $2", at, host.host_no)
    assert await scrubbed_at() is None  # one never was
    await db.execute("UPDATE ledgers SET scrubbed_at = $1 WHERE scrubbed_at IS NULL", NOW)
    assert await scrubbed_at() == NOW - timedelta(hours=2)  # and a host without rows has nothing to recompute
