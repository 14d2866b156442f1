"""Counters of stored events from their raw usage are those that reading the log gives."""

from pathlib import Path

import msgspec
import pytest

import claude_lines
import codex_lines
from given import SAMPLES, needs_given
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.records import EventRecord
from trueup_shared.metrics import BIT

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
OUT = BIT["output_tokens"]


def usage_of(event: EventRecord | StoredEvent) -> Usage:
    return Usage(**{name: getattr(event, name) for name in Usage.__struct_fields__})


def again(event: EventRecord | StoredEvent) -> Usage | None:
    assert event.raw_usage is not None
    facts = Facts(provider=event.provider, model=event.model, identity=event.identity, usage=usage_of(event))
    return HARNESSES[event.harness].usage(event.raw_usage, facts)


def claude_events(root: Path) -> list[StoredEvent]:
    return list(claude_lines.Read().root(root).events.values())


def codex_events(root: Path) -> list[EventRecord]:
    read = codex_lines.Read()
    for path in sorted(root.rglob("*.jsonl")):
        read.real(path)
    return list(read.events.values())


@pytest.mark.parametrize("read", [lambda: claude_events(GOLDEN / "claude"), lambda: codex_events(GOLDEN / "codex")])
def test_golden_events_come_out_of_their_raw_usage_as_they_were_read(read) -> None:  # type: ignore[no-untyped-def]
    events = read()
    assert len(events) > 2
    assert [again(event) for event in events] == [usage_of(event) for event in events]


@needs_given
def test_real_events_come_out_of_their_raw_usage_as_they_were_read() -> None:
    events = [*claude_events(SAMPLES / "claude"), *codex_events(SAMPLES / "codex")]
    differing = [event for event in events if again(event) != usage_of(event)]
    assert len(events) > 300
    assert differing == []


def facts(identity: str = '["m"]', **counters: int) -> Facts:
    return Facts(provider=None, model=None, identity=identity, usage=Usage(**counters))


def test_whether_a_claude_request_had_ended_is_kept_from_before() -> None:
    raw = b'{"input_tokens":7,"output_tokens":3}'
    of = HARNESSES["claude"].usage
    cut, ended = of(raw, facts(output_tokens=3, lower_bounds=OUT)), of(raw, facts(output_tokens=3))
    assert cut is not None
    assert ended is not None
    assert (cut.lower_bounds & OUT, ended.lower_bounds & OUT) == (OUT, 0)


def test_a_call_to_an_advisor_is_found_in_the_raw_usage_of_its_request() -> None:
    advisor = {"type": "advisor_message", "input_tokens": 5, "output_tokens": 9}
    raw = msgspec.json.encode({"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": "x"}, advisor]})
    found = HARNESSES["claude"].usage(raw, facts('["claude","msg_1",null,"advisor_message","0"]'))
    assert found is not None
    assert (found.input_tokens, found.output_tokens) == (5, 9)
    assert HARNESSES["claude"].usage(raw, facts('["claude","msg_1",null,"advisor_message","1"]')) is None


def test_a_difference_of_codex_that_was_never_logged_stays_what_it_was() -> None:
    raw = b'{"total_token_usage":{"input_tokens":100,"cached_input_tokens":40,"output_tokens":9}}'
    was = Usage(input_tokens=10, cache_read_tokens=5, output_tokens=2, derived=OUT | 3)
    found = HARNESSES["codex"].usage(raw, Facts(provider=None, model=None, identity='["t",1]', usage=was))
    assert found == was


@pytest.mark.parametrize("harness", ["claude", "codex"])
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 9999, b"\xff"])
def test_raw_usage_that_cannot_be_read_gives_nothing(harness: str, raw: bytes) -> None:
    assert HARNESSES[harness].usage(raw, facts()) is None
    HARNESSES[harness].usage(b'{"input_tokens":"x"}', facts("no JSON"))
