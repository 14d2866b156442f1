"""A fleet with everything in it that makes numbers hard to add up, and what they add up to by plain Python.

The facts are the stored rows: no rollup is asked. That the right copies count is what `verify` says.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ledgers import Ledger, add_host
from trueup_hub.analytics.totals import Totals
from trueup_hub.db import Database, create_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest import add_zone, forgetting
from trueup_hub.ingest.verify import verify
from trueup_hub.params import DIMENSIONS, Common, Query
from trueup_shared import keys, wire
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, COUNTERS, MAX_COUNTER, TOTAL_BITS, TOTAL_PARTS
from trueup_shared.money import micro
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
Record = dict[str, Any]


class Rows(NamedTuple):
    """Stored rows: dimensions by name ('' = unknown), labels of the host, and whether the row counts once."""

    events: list[Record]
    messages: list[Record]
    starts: list[Record]

    def split(self, key: Callable[[Record], Any]) -> "dict[Any, Rows]":
        """The rows by what `key` says of each."""
        found: dict[Any, Rows] = {}
        for n, rows in enumerate(self):
            for row in rows:
                found.setdefault(key(row), Rows([], [], []))[n].append(row)
        return found


class Facts(NamedTuple):
    """All rows of a database that is only read."""

    db: Database
    rows: Rows

    def __repr__(self) -> str:
        return f"<{len(self.rows.events)} events>"  # hypothesis prints it with every failure


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


_NAMES = """h.label AS host, h.labels, (SELECT term FROM terms WHERE term_no = f.harness) AS harness,
 (SELECT term FROM terms WHERE term_no = f.project) AS project"""
_MODEL = "(SELECT term FROM terms WHERE term_no = f.model) AS model"
_EVENTS = f"""SELECT f.*, f.counted AS once, {_NAMES}, {_MODEL},
 (SELECT term FROM terms WHERE term_no = f.provider) AS provider,
 (SELECT term FROM terms WHERE term_no = f.reported_cost_unit) AS unit
 FROM events f JOIN hosts h USING (host_no) WHERE NOT f.stale"""
_MESSAGES = f"""SELECT f.at, f.tool_names, f.session_key, s.chosen AS once, {_NAMES}, {_MODEL}, '' AS provider,
 r.term = 'user' AND k.term = 'prompt' AS prompted
 FROM messages f JOIN hosts h USING (host_no) JOIN sessions s USING (host_no, ledger_no, session_key)
 JOIN terms r ON r.term_no = f.role JOIN terms k ON k.term_no = f.kind WHERE NOT f.stale AND f.at IS NOT NULL"""
_STARTS = f"""SELECT f.started_at AS at, f.session_key, f.chosen AS once, {_NAMES}, '' AS model, '' AS provider
 FROM sessions f JOIN hosts h USING (host_no) WHERE NOT f.stale AND f.started_at IS NOT NULL"""


async def rows_of(db: Database) -> Rows:
    return Rows(*[[_named(row) for row in await db.fetch(sql)] for sql in (_EVENTS, _MESSAGES, _STARTS)])


def _named(row: Any) -> Record:
    """The last of columns with one name wins: numbers of dimensions give way to their names."""
    return dict(zip(row.keys(), row.values(), strict=True))


def chosen(rows: Rows, common: Common, first: date, last: date) -> Rows:
    """What a request counts, by its range, zone, filters, labels and `counted`."""

    def fits(row: Record) -> bool:
        return (
            (row["once"] or common.counted == "all")
            and all(row[name] in values for name, values in common.filters.items())
            and all(row["labels"].get(name, "") in values for name, values in common.labels.items())
            and first <= local_day(row, common) <= last
        )

    return Rows(*([row for row in kind if fits(row)] for kind in rows))


def local_day(row: Record, common: Common) -> date:
    day: date = row["at"].astimezone(common.zone).date()
    return day


def total(values: Iterable[int | None]) -> int | None:
    """A sum over nothing known is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def totals_of(rows: Rows) -> Record:
    """Every field of `Totals`; money in whole microdollars, rounded once."""
    return usage_of(rows.events) | {
        "messages": len(rows.messages),
        "user_messages": sum(row["prompted"] for row in rows.messages),
        "tool_calls": sum(len(row["tool_names"] or []) for row in rows.messages),
        "sessions": len(rows.starts),
    }


def usage_of(events: Sequence[Record]) -> Record:
    found: Record = {name: total(row[name] for row in events) for name in ADDITIVE_COUNTERS}
    found["total_tokens"] = total(row[name] for row in events for name in TOTAL_PARTS)
    for name in ("cost", "cache_savings"):
        nanos = total(row[f"{name}_nanousd"] for row in events)
        found[f"{name}_microusd"] = None if nanos is None else micro(nanos)
    dollars, credits = (
        [_billionths(row["reported_cost"]) for row in events if row["unit"] == unit] for unit in ("usd", "credits")
    )
    found["reported_cost_microusd"] = None if (nanos := total(dollars)) is None else micro(nanos)
    found["reported_credits"] = None if (billionths := total(credits)) is None else billionths / 10**9
    unpriced = [row[name] or 0 for row in events if row["cost_nanousd"] is None for name in TOTAL_PARTS]
    return found | {"unpriced_tokens": sum(unpriced)}


def peak_of(events: Sequence[Record]) -> int | None:
    return max((row["context_tokens"] for row in events if row["context_tokens"] is not None), default=None)


def _billionths(text: str | None) -> int | None:
    if text is None:
        return None
    whole, _, fraction = text.partition(".")
    assert len(fraction) <= 9  # what these rows have needs no rounding
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def coverage_of(events: Sequence[Record]) -> dict[str, tuple[int, int, int, int]]:
    """(events, reported, lower_bound, derived) of everything that has a coverage."""

    def bits(row: Record, kind: str, mask: int) -> bool:
        return bool((row[kind] or 0) & mask)

    def covered(of: Callable[[Record], bool], mask: int, derived: int) -> tuple[int, int, int, int]:
        known = [row for row in events if of(row)]
        lower = sum(bits(row, "lower_bounds", mask) for row in known)
        return len(events), len(known), lower, sum(bits(row, "derived", derived) for row in known)

    found = {name: covered(lambda row, name=name: row[name] is not None, BIT[name], BIT[name]) for name in COUNTERS}  # type: ignore[misc]
    complete = sum(
        row["undivided_tokens"] is not None
        or (row["output_tokens"] is not None and (row["input_tokens"], row["input_undivided_tokens"]) != (None, None))
        for row in events
    )
    lower, derived = (sum(bits(row, kind, TOTAL_BITS) for row in events) for kind in ("lower_bounds", "derived"))
    found["total_tokens"] = (len(events), complete, lower, derived)
    cached = BIT["cache_read_tokens"] | BIT["cache_write_tokens"]
    priced = cached | BIT["input_tokens"] | BIT["output_tokens"]
    for name, mask in (("cost", priced), ("cache_savings", cached)):
        found[f"{name}_microusd"] = covered(lambda row, name=name: row[f"{name}_nanousd"] is not None, mask, 0)  # type: ignore[misc]
    dollars = sum(row["reported_cost"] is not None and row["unit"] == "usd" for row in events)
    return found | {"reported_cost_microusd": (len(events), dollars, 0, 0)}


ROUNDED = ("cost_microusd", "cache_savings_microusd", "reported_cost_microusd")


def assert_adds_up(parts: Sequence[Totals], expected: Record, what: object) -> None:
    """Parts that may be rounded to the microdollar differ from the whole by half of one each."""
    for name in Totals.__struct_fields__:
        found = total(getattr(part, name) for part in parts)
        value = expected[name]
        if value is None or found is None or name not in (*ROUNDED, "reported_credits"):
            assert (found or 0 if value == 0 else found) == value, (what, name)
        else:
            slack = (len(parts) + 1) / 2 if name in ROUNDED else 1e-6
            assert abs(found - value) <= slack, (what, name)


def dimension(row: Record, by: str) -> str:
    """The value by which a row is divided; '' = unknown."""
    value: str = row["labels"].get(by.removeprefix("label:"), "") if by.startswith("label:") else row[by]
    return value


BY = (*DIMENSIONS, "label:team", "label:site")
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
EXAMPLES = 2_000 if IS_SOAK else 25
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # the database is the same for all examples
