"""Whatever a document of Cline, Roo Code, Amp or Droid holds, its parser says what it can and raises nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsed import Parse
from trueup_agent.harnesses.base import Unfinished

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
HARNESSES = ["cline", "roocode", "amp", "droid"]
STRANGE: list[Any] = [None, "\ud800", -1, 2**70, 1e308, True, [[]], {"a": 1}]


def documents(harness: str) -> list[tuple[Path, Any]]:
    """Each file of the golden home that is a whole JSON document, decoded."""
    home = GOLDEN / harness / "home"
    return [(path, json.loads(path.read_bytes())) for path in sorted(home.rglob("*.json"))]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in list(pairs):
        yield value, key
        yield from places(below)


def copied(harness: str, home: Path) -> None:
    for path in sorted((GOLDEN / harness / "home").rglob("*")):
        target = home / path.relative_to(GOLDEN / harness / "home")
        target.mkdir(parents=True, exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_strange_value_anywhere_changes_no_more_than_its_record(tmp_path: Path, harness: str) -> None:
    copied(harness, tmp_path)
    count = len(Parse(harness).root(tmp_path).events)
    for path, document in documents(harness):
        target = tmp_path / path.relative_to(GOLDEN / harness / "home")
        for number, (container, key) in enumerate(places(document)):
            before = container[key]
            for strange in (STRANGE * 2)[number % len(STRANGE) :][:3]:  # all of them, at places that are alike
                container[key] = strange
                target.write_text(json.dumps(document), encoding="utf-8")
                parse = Parse(harness).root(tmp_path)
                if container is not document:
                    assert len(parse.events) >= count - 1, (path, key, strange)
            container[key] = before
        target.write_bytes(path.read_bytes())
    assert len(Parse(harness).root(tmp_path).events) == count


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_document_cut_off_anywhere_is_unfinished_or_says_less(tmp_path: Path, harness: str) -> None:
    copied(harness, tmp_path)
    whole = len(Parse(harness).root(tmp_path).events)
    for path, _ in documents(harness):
        target = tmp_path / path.relative_to(GOLDEN / harness / "home")
        content = path.read_bytes()
        for cut in range(0, len(content), 97):
            target.write_bytes(content[:cut])
            try:
                assert len(Parse(harness).root(tmp_path).events) <= whole
            except Unfinished as error:
                assert str(error) == "half-written JSON"
        target.write_bytes(content)


NAMES = """
ts type say ask text modelInfo messages id role content metrics usage usageLedger events messageId toMessageId tokens
timestamp tokenUsage inputTokens tokensIn cost created env initial trees uri message session_id contextCondense
"""
_names = st.sampled_from(NAMES.split())
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=5),
    max_leaves=25,
)


@pytest.mark.parametrize("harness", HARNESSES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_values)
def test_any_json_is_read_without_an_exception(tmp_path: Path, harness: str, value: Any) -> None:
    names = {
        "cline": ["ui_messages.json", "x.messages.json", "taskHistory.json"],
        "roocode": ["ui_messages.json"],
        "amp": ["T-1.json"],
        "droid": ["y.settings.json", "x.jsonl"],
    }[harness]
    raw = json.dumps(value).encode()
    for name in names:
        path = tmp_path / name
        path.write_bytes(raw + b"\n")
        (tmp_path / "api_conversation_history.json").write_bytes(raw)
        (tmp_path / "task_metadata.json").write_bytes(raw)
        (tmp_path / "history_item.json").write_bytes(raw)
        parse = Parse(harness)
        source = parse.harness.recognise(path, b'[{"ts":1,"say":2}] "messages" "version" "tokensIn" "tokenUsage"')
        if name == "T-1.json":
            source = parse.harness.recognise(path, b"{")
        if name.endswith(".jsonl"):
            source = parse.harness.recognise(path, b'{"type":"session_start","id":"x"}\n')
        assert source is not None, name
        parse.source(source)
