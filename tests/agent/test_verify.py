"""`pg verify` names exactly the rows that differ, either way, and changes nothing."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damaged import Place, alter, database_of, invent, lose, scrub, stored
from hub_process import Hub
from ledger_rows import event, message, update
from pushing import Machine
from trueup_agent import errors
from trueup_agent.push import verify as verifying
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.verify import Verified, verify
from trueup_shared import keys, wire


@pytest.fixture
async def ana(ana: Machine) -> Machine:
    """40 events and 40 messages in 5 sessions, at the hub."""
    await ana.write(1, 40)
    await ana.push()
    return ana


async def verified(ana: Machine, deep: bool = False) -> Verified:
    async with HubClient(ana.host.hub_url, ana.host.credential) as client:
        return await verify(ana.data_dir, client, deep)


def lists(found: Verified) -> tuple[list[str], list[str], list[str]]:
    return sorted(found.only_here), sorted(found.only_hub), sorted(found.different)


NOTHING: tuple[list[str], list[str], list[str]] = ([], [], [])


async def test_equal_sides_differ_in_nothing(ana: Machine) -> None:
    for deep in (False, True):
        found = await verified(ana, deep)
        assert (found.verdict, found.buckets_differing, lists(found)) == ("converged", [], NOTHING)
        assert found.requests == 1


async def test_every_row_is_named_with_its_table_session_and_harness(hub: Hub, ana: Machine) -> None:
    db = database_of(hub)
    await lose(db, (keys.EVENTS, event("e3").key))
    await alter(db, (keys.MESSAGES, message("m14").key))
    made = await invent(db, (keys.EVENTS, event("e25").key), random.Random(1))
    assert (await verified(ana)).verdict == "converged"  # running sums are trusted …
    found = await verified(ana, deep=True)  # … until asked not to be
    rows = {(row.difference, row.table, row.key, row.session_id, row.harness) for row in found.rows}
    assert rows == {
        ("only_here", "events", event("e3").key.hex(), "s0", "fake"),
        ("different", "messages", message("m14").key.hex(), "s1", "fake"),
        ("only_hub", "events", made[1].hex(), "s2", "fake"),
    }
    assert found.verdict == "diverged"
    assert len(found.buckets_differing) == 3
    await scrub(db)
    assert {row.key for row in (await verified(ana)).rows} == {row.key for row in found.rows}


EXAMPLES = max(4, settings.default.max_examples // 100)  # each damages the hub that the ones before it left
damages = st.lists(st.tuples(st.sampled_from(["lose", "alter", "invent"]), st.integers(0, 10**6)), max_size=25)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=damages)
async def test_whatever_was_damaged_is_named_exactly_and_a_push_mends_it(
    hub: Hub, ana: Machine, drawn: list[tuple[str, int]]
) -> None:
    db = database_of(hub)
    rows = await stored(db)
    expected: dict[str, set[Place]] = {"lose": set(), "alter": set(), "invent": set()}
    touched: set[Place] = set()
    for kind, number in drawn:
        place = rows[number % len(rows)]
        if place in touched or (kind == "invent" and place[0] == keys.SESSIONS):
            continue
        if kind == "invent":
            place = await invent(db, place, random.Random(number))
        else:
            await (lose if kind == "lose" else alter)(db, place)
        touched.add(place)
        expected[kind].add(place)
    found = await verified(ana, deep=True)
    assert lists(found) == tuple(sorted(key.hex() for _, key in expected[k]) for k in ("lose", "invent", "alter"))
    assert found.verdict == ("diverged" if touched else "converged")
    await scrub(db)
    assert lists(await verified(ana)) == lists(found)
    assert (await ana.push()).verdict == "converged"
    after = await verified(ana, deep=True)
    assert (after.verdict, lists(after), after.buckets_differing) == ("converged", NOTHING, [])


async def test_what_is_yet_to_be_pushed_is_pending_and_no_difference(hub: Hub, ana: Machine) -> None:
    await ana.write(3, 3, output_tokens=99)
    await ana.write(50, 52)
    found = await verified(ana, deep=True)
    assert (found.verdict, found.pending, lists(found)) == ("behind", 8, NOTHING)
    await lose(database_of(hub), (keys.EVENTS, event("e4").key))
    found = await verified(ana, deep=True)
    assert (found.verdict, lists(found)) == ("diverged", ([event("e4").key.hex()], [], []))


async def test_sums_alone_that_are_wrong_are_told_without_any_row(hub: Hub, ana: Machine) -> None:
    session_key = event("e3", "s0").session_key
    await database_of(hub).execute("UPDATE sessions SET digest = digest + 1 WHERE session_key = $1", session_key)
    found = await verified(ana)
    assert (found.verdict, lists(found)) == ("diverged", NOTHING)
    assert found.buckets_differing == [session_key[0]]
    assert (await verified(ana, deep=True)).buckets_differing == []


async def test_rejected_rows_are_named_apart(hub: Hub, ana: Machine) -> None:
    await ana.ledger.write([update(event("bad", "s3", model="a\0b", output_tokens=1))])
    await ana.push()
    found = await verified(ana, deep=True)
    assert (found.verdict, found.rejected, lists(found)) == ("converged", [event("bad").key.hex()], NOTHING)


async def test_a_hub_that_is_pushed_to_meanwhile_is_compared_again(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "PAUSE_SECONDS", 0.0)

    class Busy(HubClient):
        pushes = 2

        async def buckets(self, ledger_id: str, deep: bool = False, after: str = "") -> wire.Buckets:
            if self.pushes:
                self.pushes -= 1
                await ana.write(100 + self.pushes, 100 + self.pushes)
                await ana.push()
            return await super().buckets(ledger_id, deep, after)

    async with Busy(ana.host.hub_url, ana.host.credential) as client:
        assert (await verify(ana.data_dir, client, deep=True)).verdict == "converged"
        client.pushes = 99
        with pytest.raises(errors.PositionMismatch, match="all the time"):
            await verify(ana.data_dir, client, deep=False)


async def test_it_takes_no_lock_and_writes_nothing(hub: Hub, ana: Machine) -> None:
    """The ledger is open for writing all along; and the same again while rows are written."""
    before = (ana.data_dir / "ledger.db").read_bytes()
    assert (await verified(ana)).verdict == "converged"
    assert (ana.data_dir / "ledger.db").read_bytes() == before
    found, _ = await asyncio.gather(verified(ana), ana.write(60, 90))
    assert found.verdict in ("converged", "behind")
    assert lists(found) == NOTHING
