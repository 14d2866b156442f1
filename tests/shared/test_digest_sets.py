"""Digest sets are frozen once released: what a set covers may not change with the code (docs/wire.md)."""

import json
from pathlib import Path

import pytest

from trueup_shared import digest_sets, keys, wire

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "wire" / "set1.json").read_text())
BODIES = {keys.SESSIONS: wire.SessionBody, keys.MESSAGES: wire.MessageBody, keys.EVENTS: wire.EventBody}


def test_set_1_covers_what_it_was_released_with() -> None:
    assert digest_sets.FIELD_SETS[1] == {keys.SESSIONS: 9, keys.MESSAGES: 10, keys.EVENTS: 26}
    assert digest_sets.known() == (1, 1)


@pytest.mark.parametrize("case", GOLDEN["rows"], ids=lambda case: case["name"])
def test_golden_rows_keep_their_digest_in_set_1_and_have_another_in_any_other(case: dict[str, str | int]) -> None:
    table, key, body = int(case["table"]), bytes.fromhex(str(case["key"])), bytes.fromhex(str(case["body"]))
    assert keys.row_digest_bytes(table, key, body, 1).hex() == case["digest"]
    assert keys.row_digest_bytes(table, key, body, 2).hex() != case["digest"]


def test_nothing_is_withheld_from_a_hub_that_knows_the_newest_set() -> None:
    assert digest_sets.withheld(digest_sets.newest()) == []
    for table in BODIES:
        assert digest_sets.encoder(table, digest_sets.newest()) is wire.encode_body


def test_fields_beyond_a_set_are_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {keys.SESSIONS: 8, keys.MESSAGES: 10, keys.EVENTS: 24}
    monkeypatch.setattr(digest_sets, "FIELD_SETS", {1: fewer, 2: digest_sets.FIELD_SETS[1]})
    assert digest_sets.withheld(1) == ["sessions.9", "events.25", "events.26"]
    whole = wire.EventBody(model="m", reported_cost="1", reported_cost_status="reported", flags=1)
    assert digest_sets.within(keys.EVENTS, whole, 2) is whole
    left = wire.EventBody(model="m", reported_cost="1")
    assert digest_sets.within(keys.EVENTS, whole, 1) == left
    assert digest_sets.encoder(keys.EVENTS, 1)(whole) == wire.encode_body(left)


@pytest.mark.parametrize(
    "ours, theirs, common",
    [
        ((1, 1), (1, 1), 1),
        ((1, 1), (1, 3), 1),
        ((1, 2), (1, 3), 2),
        ((1, 3), (2, 2), 2),
        ((1, 1), (2, 3), None),
        ((2, 3), (1, 1), None),
        ((1, 1), (3, 1), None),
    ],
)
def test_both_use_the_highest_set_that_both_know(
    ours: tuple[int, int], theirs: tuple[int, int], common: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = dict.fromkeys(range(ours[0], ours[1] + 1), digest_sets.FIELD_SETS[1])
    monkeypatch.setattr(digest_sets, "FIELD_SETS", sets)
    assert digest_sets.common(theirs) == common
