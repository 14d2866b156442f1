"""Families that were made to be slow, or to lose real usage; rules against what they say word by word."""

import random
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from ledger_rows import NOON, event, update
from trueup_agent.ledger import Ledger
from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.ledger.rules import decide
from trueup_agent.policy import Policy
from trueup_agent.records import DELETIONS, LEGS, SERIES

FAMILY = b"f" * 16


def row(name: str, **fields: Any) -> StoredEvent:
    return update(event(name, **{"family": FAMILY} | fields)).events[0]


def covers(sum_: StoredEvent, at: int) -> bool:
    return (-1 if sum_.since is None else sum_.since) < at <= sum_.at


def left(sum_: StoredEvent, others: list[StoredEvent]) -> tuple[int | None, Decimal] | None:
    """Input tokens and cost that `others` do not cover."""
    if not others:
        return sum_.input_tokens, Decimal(sum_.reported_cost or 0)
    tokens = None
    if sum_.input_tokens is not None:
        tokens = max(0, sum_.input_tokens - sum(other.input_tokens or 0 for other in others))
    cost = max(Decimal(0), Decimal(sum_.reported_cost or 0) - sum(Decimal(o.reported_cost or 0) for o in others))
    return (tokens, cost) if (tokens if tokens is not None else cost) else None


def word_by_word(rows: list[StoredEvent]) -> dict[bytes, tuple[int | None, Decimal] | None]:
    """What is left of every row of rank 1."""
    found: dict[bytes, tuple[int | None, Decimal] | None] = {}
    counts = {r.key: (r.input_tokens, Decimal(r.reported_cost or 0)) for r in rows if r.rank == 0}
    ordered = sorted(rows, key=lambda r: (r.at, r.rank, r.key))
    for number, one in enumerate(ordered):
        if one.rank != 1:
            continue
        others = [r for r in ordered if r.rank == 0 and r.model == one.model] if one.rule == LEGS else ordered[:number]
        known = []
        for other in others:
            if other.key in counts and covers(one, other.at):
                tokens, cost = counts[other.key]
                known.append(row("x", input_tokens=tokens, reported_cost=str(cost), reported_cost_unit="usd"))
        found[one.key] = rest = left(one, known)
        if rest is not None and one.rule == DELETIONS:
            counts[one.key] = rest
    return found


@pytest.mark.parametrize("rule", [LEGS, DELETIONS])
def test_what_is_left_of_a_sum_is_what_its_rule_says_word_by_word(rule: str) -> None:
    chance = random.Random(rule)
    for _ in range(300):
        rows = [
            row(
                f"r{number}",
                rule=rule,
                rank=chance.choice((0, 0, 1)),
                at=NOON + chance.randrange(8),
                since=chance.choice((None, NOON, NOON + chance.randrange(8))),
                model=chance.choice(("m", "n")),
                input_tokens=chance.choice((None, 0, 1, 5, 40)),
                output_tokens=None,
                reported_cost=chance.choice((None, "0.1", "2")),
                reported_cost_unit="usd",
            )
            for number in range(chance.randrange(1, 12))
        ]
        decided = decide(rows)
        told = {
            r.key: None if (found := decided.get(r.key, r)) is None else (found.input_tokens, found.reported_cost)
            for r in rows
            if r.rank == 1
        }
        expected = word_by_word(rows)
        assert {key: value and value[0] for key, value in told.items()} == {
            key: value and value[0] for key, value in expected.items()
        }
        assert {key: Decimal(value[1] or 0) for key, value in told.items() if value} == {
            key: value[1] for key, value in expected.items() if value
        }


@pytest.mark.parametrize("rule", [LEGS, DELETIONS, SERIES])
def test_a_family_of_thousands_is_decided_at_once(rule: str) -> None:
    one = row("one", rule=rule, model="m", input_tokens=1)
    rows = []
    for number in range(20_000):
        values = {
            "key": number.to_bytes(16, "big"),
            "at": NOON + number,
            "rank": number % 3 if rule == LEGS else number % 2,
        }
        rows.append(
            type(one)(**{name: getattr(one, name) for name in one.__struct_fields__} | values | {"since": NOON - 1})
        )
    started = process_time()
    decide(rows)
    assert process_time() - started < 5


async def test_a_session_that_calls_itself_its_parent_keeps_its_usage(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, Policy())
    try:
        one = event("one", family=FAMILY, owner_key=FAMILY, after=FAMILY, rule=SERIES, input_tokens=7)
        await ledger.write([update(one)])
        assert await ledger.query("SELECT input_tokens FROM events") == [(7,)]
    finally:
        await ledger.close()
