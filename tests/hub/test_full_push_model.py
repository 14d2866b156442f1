"""Whatever the hub has of a ledger, a full push ends with exactly the ledger's rows, and their sums and rollups."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw, msgpack

from ledgers import Ledger, add_host, empty, event, event_key, message, message_key, session
from trueup_hub.db import Database
from trueup_hub.ingest import position
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all
from trueup_shared import keys, wire

EXAMPLES = 1_000 if settings().max_examples > 1_000 else 12  # `make soak`: many more

SESSIONS = [keys.session_key("claude", name) for name in ("s0", "s1")]
SERIES = keys.series_key("claude", "series")
NAMES = {keys.SESSIONS: "session", keys.MESSAGES: "message", keys.EVENTS: "event"}
BY_HAND = (
    "DELETE FROM events WHERE event_key = $1",
    "DELETE FROM messages WHERE message_key = $1",
    "DELETE FROM sessions WHERE session_key = $1",
    "UPDATE events SET output_tokens = 77 WHERE event_key = $1",
    "UPDATE messages SET size_chars = 77 WHERE message_key = $1",
    "UPDATE sessions SET git_branch = 'other' WHERE session_key = $1",
    "UPDATE sessions SET rows = 5, digest = 5 WHERE session_key = $1",
    "UPDATE events SET row_digest = event_key, counted = false WHERE event_key = $1",
)

rows = st.integers(0, 11)
writing = st.one_of(
    st.tuples(st.just("put"), rows, st.integers(0, 2)),
    st.tuples(st.just("remove"), rows, st.none()),
    st.tuples(st.just("refused"), rows, st.none()),
    st.tuples(st.just("push"), st.integers(1, 6), st.none()),
)
harm = st.one_of(
    st.tuples(st.just("forget"), rows, st.none()),  # no longer in the ledger, and never deleted at the hub
    st.tuples(
        st.just("find"), rows, st.integers(0, 2)
    ),  # in the ledger under an old seq, but not or otherwise at the hub
    st.tuples(st.just("accept"), rows, st.none()),  # what the hub refused it would take today
    st.tuples(st.just("no row"), rows, st.none()),
    st.tuples(st.just("renumber"), rows, st.integers(0, 40)),
    st.tuples(st.just("by hand"), rows, st.sampled_from(BY_HAND)),
)


def row(n: int, variant: int) -> tuple[int, bytes, wire.Body]:
    of, session_key = n // 4, SESSIONS[n % 2]
    if of == 0 and n < 2:
        return keys.SESSIONS, session_key, session(f"s{n}", git_branch=f"b{variant}")
    if of == 1:
        return keys.MESSAGES, message_key(n), message(n, session_key=session_key, size_chars=variant)
    owner = SERIES if n == 2 else None
    return keys.EVENTS, event_key(n), event(n, session_key=session_key, output_tokens=variant, owner_key=owner)


async def harmed(ledger: Ledger, what: str, n: int, value: Any) -> None:
    table, key, body = row(n, value if isinstance(value, int) else 0)
    place = (table, key)
    if what == "forget":
        for kept in (ledger.rows, ledger.raw, ledger.seqs):
            kept.pop(place, None)
    elif what == "find" and (place in ledger.rows or place not in ledger.seqs) and ledger.acked:
        ledger.rows[place] = body
        ledger.seqs.setdefault(place, 1 + n % ledger.acked)
    elif what == "accept" and place in ledger.raw:
        del ledger.raw[place]
        ledger.rows[place] = body
    elif what == "no row" and ledger.acked:
        batch = ledger.repair([], head_digest=None)
        batch.events.append(Raw(msgpack.encode(n)))
        await ledger.send(batch)
    elif what == "renumber":
        for name in NAMES.values():
            await ledger.db.execute(
                f"UPDATE {name}s SET seq = $2 WHERE {name}_key = $1 AND seq IS NOT NULL", key, value
            )
    elif what == "by hand":
        await ledger.db.execute(value, key)


async def written(ledger: Ledger, what: str, n: int, value: Any) -> None:
    if what == "push":
        await ledger.push(n)
        return
    table, key, body = row(n, value or 0)
    if what == "put":
        ledger.put(key, body)
    elif what == "refused":
        ledger.put_raw(table, key, msgpack.decode(wire.encode_body(body)) | {"1": 5, "15": -1})
    elif (table, key) in ledger.rows:
        ledger.remove(table, key)


async def at_hub(ledger: Ledger) -> dict[tuple[int, bytes], tuple[int, bytes]]:
    """What is stored of a ledger and not stale: (table, key) -> (seq, digest)."""
    found: dict[tuple[int, bytes], tuple[int, bytes]] = {}
    for table, name in NAMES.items():
        sql = f"SELECT {name}_key, seq, row_digest FROM {name}s WHERE row_digest IS NOT NULL AND NOT stale"
        sql += " AND ledger_no = $1"
        found |= {(table, key): (seq, digest) for key, seq, digest in await ledger.db.fetch(sql, await ledger.number())}
    return found


def of_ledger(ledger: Ledger) -> dict[tuple[int, bytes], tuple[int, bytes]]:
    digests = {place: keys.row_digest(*place, wire.encode_body(body)) for place, body in ledger.rows.items()}
    return {place: (ledger.seqs[place], keys.digest_bytes(digest)) for place, digest in digests.items()}


async def push_full(ledger: Ledger, size: int, steps: list[tuple[str, int, Any]]) -> wire.Committed:
    """Changes and pushes in between; begun anew before every batch."""
    left = list(steps)
    while True:
        await ledger.open_generation()
        if ledger.full_seq == ledger.full_target:
            break
        await ledger.send(ledger.full_batch(size))
        if left:
            await written(ledger, *left.pop())
    for step in left:
        await written(ledger, *step)
    while ledger.acked < ledger.seq:
        await ledger.push(size)
    return await ledger.commit()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=st.lists(writing, min_size=4, max_size=25),
    harms=st.lists(harm, max_size=8),
    during=st.lists(writing, max_size=6),
    size=st.integers(1, 8),
)
async def test_a_full_push_ends_with_the_ledgers_rows_whatever_the_hub_had(
    db: Database,
    before: list[tuple[str, int, Any]],
    harms: list[tuple[str, int, Any]],
    during: list[tuple[str, int, Any]],
    size: int,
) -> None:
    await empty(db)
    await db.execute("TRUNCATE confirmations; DELETE FROM hosts")
    other = Ledger(db, await add_host(db, "other", 1))
    ledger = Ledger(db, await add_host(db, "mine", 0))
    for n in range(12):
        other.put(*row(n, n % 3)[1:])
    await other.push()
    for step in before:
        await written(ledger, *step)
    await ledger.push()
    for step in harms:
        await harmed(ledger, *step)
    done = await push_full(ledger, size, during)
    altered = any(what == "by hand" for what, _, _ in harms)
    if altered:
        await scrub_all(db)
    else:
        assert (done.verdict, done.corrected) == ("converged", 0)
    hub, mine = await at_hub(ledger), of_ledger(ledger)
    if hub != mine:  # columns that were altered: found by the commit, and repaired as after any push
        assert altered
        differing = [place for place in {**hub, **mine} if hub.get(place) != mine.get(place)]
        assert (await ledger.send(ledger.repair(differing))).verdict == "converged"
    assert await at_hub(ledger) == mine
    where = await position(db, ledger.host_no, ledger.host_id, ledger.ledger_id)
    assert (where.digest, where.rejected, where.generation) == (ledger.digest, len(ledger.raw), 1)
    assert (await recompute_digest(db, ledger.host_no, await ledger.number())).faithful
    if altered:
        await other.send(other.repair(other.rows))
    assert await verify(db) == {}
    assert await ledger.commit() == done
