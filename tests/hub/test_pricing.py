"""Which price table is in force is the database's to say: every replica prices alike, from the next batch on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub_client import HubClient
from ledgers import Ledger, add_host, put_events
from price_tables import LATER, table
from trueup_hub import pricing
from trueup_hub.db import Database
from trueup_hub.errors import HubError
from trueup_hub.pricing import applicable, candidate, count_uses, establish, facts, own_overrides
from trueup_shared.price_overrides import NO_OVERRIDES, Overrides, parse_overrides
from trueup_shared.prices import RELEASED, PriceList
from trueup_shared.settings import SettingError

OWN = parse_overrides("[[model]]\nmatch = 'claude-*'\noutput = 1\n[aliases]\nmine = 'gpt-5.1'")


@pytest.fixture
async def replica(database_url: str, db: Database) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


async def priced_by(db: Database) -> list[str]:
    """Digests of the tables of stored events, in the order in which these came."""
    rows = await db.fetch("SELECT digest FROM events JOIN prices USING (price_no) ORDER BY seq")
    return [row[0] for row in rows]


async def set_release(monkeypatch: pytest.MonkeyPatch, prices: PriceList, *dbs: Database) -> None:
    """What this process has for its release's own table."""
    monkeypatch.setattr(pricing, "RELEASED", prices)
    for db in dbs:
        db.caches.clear()


async def test_new_rows_are_priced_with_the_table_in_force_by_every_replica_and_stored_ones_stay(
    db: Database, replica: Database
) -> None:
    host = await add_host(db, "ana")
    ledger = Ledger(db, host)
    put_events(ledger, range(1))
    await ledger.push()
    await establish(db, NO_OVERRIDES)
    double = table(times=2)
    await establish(replica, NO_OVERRIDES, applied=double)
    put_events(ledger, range(1, 2))
    await ledger.push()
    await establish(db, OWN)
    ledger.db = replica
    put_events(ledger, range(2, 3))
    await ledger.push()
    own = PriceList(double.content, OWN)
    assert await priced_by(db) == [RELEASED.digest, double.digest, own.digest]
    costs = [row[0] for row in await db.fetch("SELECT cost_nanousd FROM events ORDER BY seq")]
    assert costs == [cost(prices, n) for n, prices in enumerate((RELEASED, double, own))]
    assert len(set(costs)) == 3


def cost(prices: PriceList, n: int) -> int | None:
    """Of the n-th event of tests/ledgers.py."""
    at = 1_772_452_800_000_000 + n * 60_000_000
    return prices.price("anthropic", "claude-sonnet-4-5", at, 10, 1000, 50, None, 100 + n, None, None, 1060)[0]


async def test_every_change_of_the_table_in_force_is_noted_once(db: Database) -> None:
    for overrides in (NO_OVERRIDES, NO_OVERRIDES, OWN, OWN, NO_OVERRIDES):
        await establish(db, overrides)
    rows = await db.fetch("SELECT detail FROM audit WHERE action = 'prices.in_force' ORDER BY audit_no")
    own = PriceList(RELEASED.content, OWN).digest
    assert [(row[0]["before"], row[0]["after"]) for row in rows] == [
        (None, RELEASED.digest),
        (RELEASED.digest, own),
        (own, RELEASED.digest),
    ]


async def test_an_applied_table_stays_until_a_release_has_a_newer_one(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = table(times=2)
    await establish(db, NO_OVERRIDES, applied=applied)
    for day, stays in (("2030-12-31", True), (LATER, True), ("2031-02-01", False)):
        await set_release(monkeypatch, table(times=3, day=day), db)
        assert (await candidate(db, NO_OVERRIDES)).digest == (applied if stays else pricing.RELEASED).digest
        table_ = await establish(db, OWN)
        assert table_.prices.content == (applied if stays else pricing.RELEASED).content
        assert table_.prices.overrides == OWN


async def test_a_hub_of_an_older_release_that_starts_again_leaves_the_newer_table_in_force(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = RELEASED
    await set_release(monkeypatch, table(times=2), db)
    newer = await establish(db, NO_OVERRIDES)
    await set_release(monkeypatch, older, db)
    again = await establish(db, NO_OVERRIDES)
    assert (again.number, again.prices.digest) == (newer.number, newer.prices.digest)


async def test_a_replica_that_cannot_price_by_the_rules_of_a_newer_release_says_which_table_it_used(
    db: Database,
) -> None:
    await establish(db, NO_OVERRIDES, applied=table(times=2))
    await db.execute("UPDATE prices SET digest = 'other rules' WHERE applied")
    ledger = Ledger(db, await add_host(db, "ana"))
    put_events(ledger, range(1))
    await ledger.push()
    assert await priced_by(db) == [RELEASED.digest]


async def test_facts_tell_the_table_and_how_much_another_one_priced(db: Database) -> None:
    assert (await facts(db)).digest == RELEASED.digest  # before a hub has started
    ledger = Ledger(db, await add_host(db, "ana"))
    put_events(ledger, range(3))
    await ledger.push()
    await establish(db, NO_OVERRIDES)
    await count_uses(db)
    found = await facts(db)
    assert (found.date, found.source, found.own) == (RELEASED.date, RELEASED.source, 0)
    assert (found.priced_otherwise, found.counted_at) == (None, None)  # there is no other table
    own = await establish(db, OWN)
    assert (await facts(db)).priced_otherwise is None  # not counted yet
    await count_uses(db)
    found = await facts(db)
    assert (found.digest, found.own, found.priced_otherwise) == (own.prices.digest, 2, 3)
    assert found.counted_at is not None


async def test_capabilities_tell_it(hub: HubClient) -> None:
    async with hub.http.get("/api/v1/capabilities", headers=await hub.token()) as response:
        prices = (await response.json())["prices"]
    assert prices == {
        "digest": RELEASED.digest,
        "date": RELEASED.date,
        "source": RELEASED.source,
        "own": 0,
        "priced_otherwise": None,
        "counted_at": None,
    }


def test_what_cannot_be_applied_is_named_in_one_line(tmp_path: Path) -> None:
    def said(name: str, content: bytes | None) -> str:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(HubError) as raised:
            applicable(tmp_path / name, NO_OVERRIDES)
        assert "\n" not in str(raised.value)
        return str(raised.value).replace(f"{tmp_path}/", "")

    assert said("none.json", None) == "none.json: No such file or directory"
    assert said("cut.json", RELEASED.content[:-9]).startswith("cut.json: not a price table of trueup: ")
    assert "dated 2020-01-01, this release has the table of" in said("old.json", table(day="2020-01-01").content)
    (tmp_path / "later.json").write_bytes(table(times=2).content)
    assert applicable(tmp_path / "later.json", OWN).digest == table(times=2, overrides=OWN).digest


def test_overrides_that_cannot_be_read_name_the_setting(tmp_path: Path) -> None:
    assert own_overrides(None) == Overrides()
    with pytest.raises(SettingError, match=r"^setting 'price_overrides': .*none.toml: No such file or directory$"):
        own_overrides(tmp_path / "none.toml")
