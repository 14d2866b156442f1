"""A real ledger with the events a test wants, and the real command on it."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from trueup_agent.ledger import Ledger, SourceInfo, SourceUpdate
from trueup_agent.ledger.rows import Origin, event_row, session_row
from trueup_agent.policy import Policy
from trueup_agent.records import EventRecord, SessionRecord
from trueup_shared.cli import trueup
from trueup_shared.keys import event_key, key, session_key

HOUR = 3_600_000_000
NOON = 1_777_896_000_000_000  # 2026-05-04T12:00:00Z
ORIGIN = Origin(source_key=key("source"), data_version=1)
CLAUDE = "claude-opus-4-5-20251101"


def event(name: str, *, at: int = NOON, session: str = "s1", harness: str = "claude", **fields: Any) -> EventRecord:
    """An event that reports nothing but what is given."""
    return EventRecord(
        **{"project_path": "/home/ana/shop", "model": CLAUDE, "provider": "anthropic", **fields},
        key=event_key(harness, name),
        session_key=session_key(harness, session),
        harness=harness,
        at=at,
    )


def full(name: str, **fields: Any) -> EventRecord:
    """As Claude reports them: 1,000 input, 20,000 read, 3,000 written, 400 output."""
    counters = {"input_tokens": 1000, "cache_read_tokens": 20000, "cache_write_tokens": 3000, "output_tokens": 400}
    return event(name, **{**counters, "context_tokens": 24000, **fields})


def session(name: str, harness: str = "claude") -> SessionRecord:
    return SessionRecord(key=session_key(harness, name), harness=harness, session_id=name)


def write(data_dir: Path, events: Iterable[EventRecord], sessions: Iterable[SessionRecord] = ()) -> Path:
    async def main() -> None:
        policy = Policy()
        ledger = await Ledger.open(data_dir, policy)
        try:
            source = SourceInfo(source_key=ORIGIN.source_key, harness="claude", identity="test", path="/test")
            rows = [event_row(one, ORIGIN, policy) for one in events]
            others = [session_row(one, ORIGIN, policy) for one in sessions]
            await ledger.write([SourceUpdate(source=source, sessions=others, events=rows)])
        finally:
            await ledger.close()

    asyncio.run(main())
    return data_dir


def run(data_dir: Path, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(trueup, ["--data-dir", str(data_dir), "usage", *arguments], env={"TZ": "UTC", **environ})


def report(data_dir: Path, *arguments: str, **environ: str) -> dict[str, Any]:
    result = run(data_dir, *arguments, "--json", **environ)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def keyed(document: dict[str, Any], name: str) -> dict[Any, Any]:
    """key -> one amount of each row."""
    return {_hashable(row["key"]): row["totals"][name] for row in document["rows"]}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
