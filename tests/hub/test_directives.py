"""What the hub asks agents to do is asked once, delivered often, and comes to an end that is said in words."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ledgers import Ledger, add_host, event, event_key
from trueup_hub import directives
from trueup_hub.db import Database
from trueup_hub.errors import NotFound, Problem
from trueup_shared import wire

ABLE = ["directives"]


async def ledger(db: Database, name: str = "ana", features: list[str] | None = ABLE) -> Ledger:
    """A pushed ledger whose agent said in a heartbeat what it can; None = it said nothing yet."""
    made = Ledger(db, await add_host(db, name))
    made.put(event_key(1), event())
    await made.push()
    if features is not None:
        await said(made, features)
    return made


async def said(sender: Ledger, features: list[str]) -> None:
    await sender.db.execute(
        "INSERT INTO host_status (host_no, ledger_no, seen_at, sent_at, head_seq, rows, pending, agent)"
        " VALUES ($1, $2, now(), now(), 1, 1, 0, $3)"
        " ON CONFLICT (host_no, ledger_no) DO UPDATE SET agent = excluded.agent",
        sender.host_no,
        await sender.number(),
        wire.AgentInfo(version="0.2.0", features=features),
    )


async def delivered(sender: Ledger) -> list[str]:
    found = await directives.open_directives(sender.db, sender.host_no, await sender.number(), ABLE)
    return [directive.id for directive in found]


async def report(sender: Ledger, directive_id: str, state: Any, **fields: Any) -> bool:
    told = wire.DirectiveReport(id=directive_id, state=state, **fields)
    async with sender.db.transaction() as connection:
        return await directives.record_reports(connection, sender.host_no, await sender.number(), [told])


async def shown(sender: Ledger) -> directives.DirectiveStatus:
    [status] = await directives.directives_of(sender.db, sender.host_no)
    return status


async def asked(sender: Ledger, kind: str = "full_push") -> str:
    [status] = await directives.ask(sender.db, UUID(sender.host_id), kind, "an administrator")
    return str(status.directive_id)


async def test_a_directive_is_delivered_until_its_agent_says_that_it_is_done(db: Database) -> None:
    ana = await ledger(db)
    made = await asked(ana)
    assert await delivered(ana) == await delivered(ana) == [made]
    assert await report(ana, made, "running", done=3, of=10, note="reading")
    status = await shown(ana)
    assert (status.state, status.done, status.of, status.note) == ("running", 3, 10, "reading")
    assert await delivered(ana) == [made]
    assert await report(ana, made, "done")
    assert await delivered(ana) == []
    assert not await report(ana, made, "running")  # a heartbeat that was overtaken
    assert (await shown(ana)).state == "done"


async def test_an_open_directive_of_the_same_kind_is_given_back_and_another_kind_is_another(db: Database) -> None:
    ana = await ledger(db)
    made = await asked(ana)
    assert await asked(ana) == made
    other = await asked(ana, "rescan")
    assert await delivered(ana) == [made, other]
    await report(ana, made, "failed", note="the disk is full")
    assert await asked(ana) != made


async def test_a_report_that_says_nothing_new_is_no_news(db: Database) -> None:
    ana = await ledger(db)
    made = await asked(ana)
    assert await report(ana, made, "running", done=1)
    assert not await report(ana, made, "running", done=1)


@pytest.mark.parametrize("strange", ["0a5c3a52-31f5-4c7e-9d0b-6f2d3f0c9a11", "nonsense"])
async def test_a_report_of_what_was_never_asked_is_passed_over(db: Database, strange: str) -> None:
    ana = await ledger(db)
    await asked(ana)
    assert not await report(ana, strange, "done")
    assert (await shown(ana)).state == "open"


async def test_a_host_cannot_report_for_another(db: Database) -> None:
    ana, bob = await ledger(db), await ledger(db, "bob")
    made = await asked(ana)
    assert not await report(bob, made, "done")
    assert await delivered(bob) == []


async def test_an_agent_that_does_not_name_the_feature_is_never_asked(db: Database) -> None:
    ana = await ledger(db, features=None)
    made = await asked(ana)  # it may be able to: it said nothing yet
    assert await directives.open_directives(db, ana.host_no, await ana.number(), ["repair"]) == []
    await said(ana, [])
    status = await shown(ana)
    assert (status.state, str(status.directive_id)) == ("given_up", made)
    assert "too old" in status.note
    await said(ana, ABLE)  # updated: what was asked is still wanted
    assert (await shown(ana)).state == "open"


async def test_what_nobody_heard_of_for_a_day_is_given_up_and_can_be_asked_for_anew(db: Database) -> None:
    ana = await ledger(db)
    first = await asked(ana)
    await db.execute("UPDATE directives SET asked_at = asked_at - interval '25 h'")
    status = await shown(ana)
    assert (status.state, status.note) == ("given_up", "Nothing was heard of it for 1 day.")
    assert await delivered(ana) == []
    second = await asked(ana)
    assert second != first
    assert await delivered(ana) == [second]


async def test_an_agent_that_comes_late_is_taken_at_its_word(db: Database) -> None:
    ana = await ledger(db)
    first = await asked(ana)
    await db.execute("UPDATE directives SET asked_at = asked_at - interval '25 h'")
    await asked(ana)
    assert await report(ana, first, "done")
    states = {str(d.directive_id): d.state for d in await directives.directives_of(db, ana.host_no)}
    assert states[first] == "done"


async def test_a_laptop_may_take_as_long_as_it_may_be_silent(db: Database) -> None:
    ana = await ledger(db)
    await db.execute("UPDATE hosts SET expected_silence_seconds = $1", int(timedelta(days=3).total_seconds()))
    made = await asked(ana)
    await db.execute("UPDATE directives SET asked_at = asked_at - interval '2 days'")
    assert await delivered(ana) == [made]
    await db.execute("UPDATE directives SET asked_at = asked_at - interval '2 days'")
    assert (await shown(ana)).note == "Nothing was heard of it for 3 days."


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ("UPDATE hosts SET retired_at = now()", "retired"),
        ("UPDATE hosts SET forgotten_at = now()", "being forgotten"),
        ("UPDATE ledgers SET replaced_by = 99", "replaced"),
    ],
)
async def test_what_a_host_that_is_gone_was_asked_is_given_up(db: Database, fact: str, words: str) -> None:
    ana = await ledger(db)
    await asked(ana)
    await db.execute(fact)
    status = await shown(ana)
    assert status.state == "given_up"
    assert words in status.note
    assert await delivered(ana) == []


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        ("UPDATE hosts SET retired_at = now()", "retired"),
        ("UPDATE hosts SET revoked_at = now()", "retired"),
        ("UPDATE hosts SET forgotten_at = now()", "forgotten"),
        ("DELETE FROM ledgers", "no_ledger"),
        ("""UPDATE host_status SET agent = '{"version": "0.1.0", "features": []}'""", "agent_too_old"),
    ],
)
async def test_a_host_that_cannot_do_it_is_not_asked(db: Database, fact: str, code: str) -> None:
    ana = await ledger(db)
    await db.execute(fact)
    with pytest.raises(Problem) as caught:
        await asked(ana)
    assert (caught.value.status, caught.value.code) == (409, code)
    assert await db.fetchval("SELECT count(*) FROM directives") == 0


async def test_an_unknown_host_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        await directives.ask(db, uuid4(), "push", "an administrator")


async def test_every_live_ledger_of_a_host_is_asked_and_a_superseded_one_is_not(db: Database) -> None:
    ana = await ledger(db)
    for name in ("b", "c"):
        other = Ledger(db, (ana.host_no, ana.host_id), name)
        other.put(event_key(name), event())
        await other.push()
    await db.execute("UPDATE ledgers SET superseded_at = now() WHERE ledger_id = $1", other.ledger_id)
    found = await directives.ask(db, UUID(ana.host_id), "push", "an administrator")
    assert len(found) == 2
    assert UUID(other.ledger_id) not in {status.ledger_id for status in found}


async def test_receipts_bring_what_is_asked_to_agents_that_name_the_feature(db: Database) -> None:
    ana = await ledger(db)
    made = await asked(ana)
    ana.put(event_key(2), event(2))
    receipt = await ana.send(ana.batch(agent=wire.AgentInfo(version="0.2.0", features=ABLE)))
    assert [(directive.id, directive.kind) for directive in receipt.directives] == [(made, "full_push")]
    ana.put(event_key(3), event(3))
    of_the_first_release = wire.AgentInfo(version="0.1.0", features=[])
    assert (await ana.send(ana.batch(agent=of_the_first_release))).directives == []
