"""A fleet with everything in it that makes numbers hard to add up, in a database that is only read, and what can be
asked of it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ledgers import Ledger, add_host
from population import Rows, rows_of
from trueup_hub.db import Database, create_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest import add_zone, forgetting
from trueup_hub.ingest.verify import verify
from trueup_hub.params import Common, Query
from trueup_shared import keys, wire
from trueup_shared.metrics import BIT, COUNTERS, MAX_COUNTER
from usage_data import event, message, micros, session

# Two weeks in which clocks change in Newfoundland, on Lord Howe, in Troll and on Chatham; between them nothing happens.
PERIODS = (("2026-03-06T00:00Z", "2026-03-10T00:00Z"), ("2026-03-28T00:00Z", "2026-04-06T18:00Z"))
IN_USE = "America/St_Johns"  # its days are kept, beside those of UTC
HARNESSES = ("claude", "codex", "gemini")  # of the last no parser version is stated
PROJECTS = (None, "alpha", "alpha", "beta", 'a,"b"', "=1+1", "-5", "two\r\nlines", "+@")
MODELS = (None, "claude-opus-4-1", "claude-3-5-haiku-20241022", "gpt-5", "nobody-knows-1", "-1")
PROVIDERS = (None, "anthropic", "openai", "@home")
# label -> labels; enrolled in this order
HOSTS: dict[str, dict[str, str]] = {
    "ana": {"team": "web", "site": "x,y"},
    "bob": {"team": "web"},
    "=cmd": {"team": "=1+1", "site": "-5"},
    "-5,0": {},
    "retired": {"team": ""},
    "forgotten": {"team": "gone"},
}
RANDOM_SEED = 5


def make_database(pg: EmbeddedPg, name: str, fill: Callable[[Database], Any]) -> tuple[str, Rows]:
    """URL and rows of a database that `fill` filled; for tests that only read it."""

    async def make() -> Rows:
        await create_database(pg.url("postgres"), name, "template_trueup")
        db = await Database.open(pg.url(name))
        try:
            await fill(db)
            assert await verify(db) == {}
            return await rows_of(db)
        finally:
            await db.close()

    return pg.url(name), asyncio.run(make())


async def fill(db: Database, seed: int = RANDOM_SEED) -> None:
    """Six hosts, one with two ledgers, that have many rows in common; a zone comes into use half-way."""
    rng = random.Random(seed)
    hosts = {label: await add_host(db, label, n) for n, label in enumerate(HOSTS)}
    ledgers = [Ledger(db, host) for host in hosts.values()] + [Ledger(db, hosts["bob"], "b")]
    for label, labels in HOSTS.items():
        await db.execute("UPDATE hosts SET labels = $2 WHERE label = $1", label, labels)
    rng.shuffle(ledgers)
    for n, ledger in enumerate(ledgers):
        ledger.versions = {"claude": wire.ParserVersion(1, 1), "codex": wire.ParserVersion(n % 2, 1)}
        for begin, end in PERIODS:
            for key, body in random_rows(rng, ledger.ledger_id, micros(begin), micros(end)):
                ledger.put(key, body)
            assert (await ledger.push(200)).rejected == []
        if n == 3:
            await add_zone(db, IN_USE)
        await _withdraw_and_restate(rng, ledger)
    await db.execute("UPDATE hosts SET retired_at = now() WHERE label = 'retired'")
    await db.execute("UPDATE hosts SET forgotten_at = now() WHERE label = 'forgotten'")
    await forgetting.forget_pending(db)


async def _withdraw_and_restate(rng: random.Random, ledger: Ledger) -> None:
    """Rows that go, and rows of which a newer version was refused, so that what is stored is stale."""
    places = sorted(ledger.rows)
    for table, key in rng.sample(places, 12):
        ledger.remove(table, key)
    while ledger.acked < ledger.seq:
        await ledger.push()
    for table, key in rng.sample(sorted(ledger.rows), 5):
        ledger.put_raw(table, key, {"1": 5})
    assert len((await ledger.push()).rejected) == 5


def random_rows(rng: random.Random, origin: str, first: int, last: int) -> list[tuple[bytes, wire.Body]]:
    """Sessions, messages and events between two times, every field sometimes unknown. Names collide between ledgers:
    some rows are copies, some of those with other numbers. `origin` keeps apart what running totals are made of."""

    def maybe(value: Any, chance: float = 0.8) -> Any:
        return value if rng.random() < chance else None

    def at() -> int:
        return rng.randrange(first, last)

    rows: list[tuple[bytes, wire.Body]] = []
    names = sorted({f"s{rng.randrange(60)}" for _ in range(14)})
    harness_of = {name: HARNESSES[int(name[1:]) % 3] for name in names}
    for name in names:
        parent = maybe(keys.session_key("claude", "s1"), 0.2)
        fields = {"project": rng.choice(PROJECTS), "parent_key": parent, "relationship": parent and "fork"}
        rows.append(session(name, maybe(at(), 0.7), harness_of[name], **fields))
    for _ in range(70):
        name = rng.choice(names)
        role = rng.choice(["user", "assistant"])
        fields = {"role": role, "kind": rng.choice(["prompt", "answer"]), "model": rng.choice(MODELS)}
        fields |= {"tool_names": maybe(["Bash", "Read", "Bash"][: rng.randrange(4)]), "project": rng.choice(PROJECTS)}
        key, body = message(f"m{rng.randrange(900)}", name, at(), harness_of[name], **fields)
        rows.append((key, body) if rng.random() < 0.9 else (key, msgspec.structs.replace(body, at=None)))
    rows += [_random_event(rng, origin, names, harness_of, at()) for _ in range(130)]
    return list(dict(rows).items())


def _random_event(
    rng: random.Random, origin: str, names: Sequence[str], harness_of: dict[str, str], at: int
) -> tuple[bytes, wire.Body]:
    name = rng.choice(names)
    harness = harness_of[name]
    counters = {one: rng.choice([None, 0, rng.randrange(5000), rng.randrange(5000)]) for one in COUNTERS}
    if rng.random() < 0.02:
        counters[rng.choice(COUNTERS)] = MAX_COUNTER
    undivided = rng.random() < 0.3
    for one in ("input_tokens",) if undivided else ("input_undivided_tokens", "undivided_tokens"):
        counters[one] = None
    number = rng.randrange(500)
    is_series = number % 10 == 0
    identity = f"{origin} {number}" if is_series else f"e{number}"
    reported = {one for one, value in counters.items() if value is not None}
    return event(
        identity,
        name,
        at,
        harness,
        owner_key=keys.series_key(harness, name) if is_series else None,
        provider=rng.choice(PROVIDERS),
        model=rng.choice(MODELS),
        project=rng.choice(PROJECTS),
        lower_bounds=sum(BIT[one] for one in reported if rng.random() < 0.2) or None,
        derived=sum(BIT[one] for one in reported if rng.random() < 0.1) or None,
        reported_cost=rng.choice([None, None, "0", "0.0123456", "3.5"]),
        reported_cost_unit=rng.choice(["usd", "credits", "euros"]),
        flags=rng.choice([None, None, None, wire.OLD_DATA]),
        **counters,
    )


ZONES = ("UTC", IN_USE, "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll", "Etc/GMT+12")


def listed(*values: str) -> str:
    """Values as a parameter takes several: quoted as in CSV."""
    return ",".join('"' + value.replace('"', '""') + '"' for value in values)


# What a request may ask for, as its query string has it.
_filters: dict[str, list[str]] = {
    "host": ["ana", "bob", listed("-5,0"), listed("ana", "=cmd", "retired")],
    "harness": ["claude", "codex,gemini"],
    "project": ["alpha", "", listed('a,"b"', "beta", "=1+1"), listed("two\r\nlines", "-5")],
    "model": ["claude-opus-4-1", "nobody-knows-1,", "gpt-5,-1"],
    "provider": ["anthropic", "", "openai,@home"],
    "label": ["team:web", "team:", listed("team:=1+1", "team:web"), listed("site:x,y"), "site:-5"],
}
_dates = {
    "from": st.dates(date(2026, 3, 4), date(2026, 3, 29)).map(str),
    "to": st.dates(date(2026, 3, 29), date(2026, 4, 8)).map(str),
}


@st.composite
def _queries(draw: st.DrawFn) -> dict[str, str]:
    query = {"timezone": draw(st.sampled_from(ZONES)), "counted": draw(st.sampled_from(["once", "once", "all"]))}
    query |= {name: draw(days) for name, days in _dates.items() if draw(st.integers(0, 2)) == 0}
    # Two filters at most, or nothing is left to add up.
    for name in draw(st.lists(st.sampled_from(sorted(_filters)), max_size=2, unique=True)):
        query[name] = draw(st.sampled_from(_filters[name]))
    return query


queries = _queries()


def asked(query: dict[str, str], **more: str) -> Common:
    return Query((query | more).items()).common("UTC")


IS_SOAK = settings().max_examples > 1_000  # `make soak`: many more
EXAMPLES = 2_000 if IS_SOAK else 15
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # the database is the same for all examples
