"""A real scan of a folder into a real ledger, and what the ledger then says.

    async def test_x(tmp_path: Path) -> None:
        seen = await scanned(tmp_path, "gemini", GOLDEN / "home")
        assert seen.totals()["input_tokens"] == 120

`seen.events()` are the counted events as rows (trueup_agent.ledger.rows.StoredEvent), `seen.set_aside()` those that
another of their family stands for, `seen.sessions()`, `seen.messages()`, `seen.sources()` likewise, each in a fixed
order. `await seen.scan()` is another pass, after the test has changed files; `await seen.scan(full=True)` reads
databases whole, as happens once a day. `seen.result` is what the last pass reported.
"""

import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from trueup_agent.collect import PassMemory, scan
from trueup_agent.glance import ScanResult
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Ledger, LedgerReader, SourceInfo
from trueup_agent.ledger.rows import StoredEvent, StoredMessage, StoredSession
from trueup_agent.ledger.sources import OUR_MISTAKE
from trueup_agent.ledger.tables import EVENTS, MESSAGES, SESSIONS, SET_ASIDE, Table
from trueup_agent.policy import Policy
from trueup_agent.settings import AgentSettings, HarnessSettings, Loaded, Places
from trueup_shared.metrics import COUNTERS

S = TypeVar("S", StoredSession, StoredMessage, StoredEvent)


class Scanned:
    """See the head of this module. Nothing is open between two passes."""

    result: ScanResult

    def __init__(self, data_dir: Path, places: Places) -> None:
        self.ledger_path = data_dir / "ledger.db"
        self._loaded = Loaded(agent=AgentSettings(), places=places, data_dir=data_dir)

    async def scan(self, full: bool = False, memory: PassMemory | None = None, reread: bool = False) -> ScanResult:
        """One pass as a process of its own would do it."""
        ledger = await Ledger.open(self._loaded.data_dir, Policy())
        try:
            if full:
                await ledger.query("UPDATE sources SET full_due_at = 1 WHERE kind = 'rows'")
            self.result = await scan(ledger, self._loaded, memory=memory, reread=reread)
        finally:
            await ledger.close()
        mistakes = [reason for reason in self.result.unreadable.values() if reason.startswith(OUR_MISTAKE)]
        assert not mistakes, mistakes
        return self.result

    def events(self) -> list[StoredEvent]:
        return self._rows(EVENTS, EVENTS.name, "at, key")

    def set_aside(self) -> list[StoredEvent]:
        return self._rows(EVENTS, SET_ASIDE, "at, key")

    def sessions(self) -> list[StoredSession]:
        return self._rows(SESSIONS, SESSIONS.name, "session_id, key")

    def messages(self) -> list[StoredMessage]:
        return self._rows(MESSAGES, MESSAGES.name, "at, key")

    def sources(self) -> list[SourceInfo]:
        with LedgerReader(self._loaded.data_dir) as reader:
            return sorted(reader.sources(), key=lambda source: source.path)

    def totals(self) -> dict[str, Any]:
        """Per counter the sum over counted events (context_tokens: the maximum), None where none reports it.

        Besides: `events`, `sessions`, `messages`, `lower_bound` and `derived` (events with any such counter), `gone`
        (events), `skipped` (reason -> records), `unknown` (record type -> records), `cost` (unit -> Decimal).
        """
        events = self.events()
        totals: dict[str, Any] = {}
        for name in COUNTERS:
            known = [getattr(event, name) for event in events if getattr(event, name) is not None]
            totals[name] = (max(known) if name == "context_tokens" else sum(known)) if known else None
        cost: dict[str, Decimal] = {}
        for event in events:
            if event.reported_cost is not None:
                unit = event.reported_cost_unit or "(no unit)"
                cost[unit] = cost.get(unit, Decimal(0)) + Decimal(event.reported_cost)
        return totals | {
            "events": len(events),
            "sessions": len(self.sessions()),
            "messages": len(self.messages()),
            "lower_bound": sum(1 for event in events if event.lower_bounds),
            "derived": sum(1 for event in events if event.derived),
            "gone": sum(1 for event in events if event.gone),
            "skipped": self._counted("skipped"),
            "unknown": self._counted("unknown"),
            "cost": cost,
        }

    def _counted(self, name: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for source in self.sources():
            for what, number in getattr(source, name).items():
                counts[what] = counts.get(what, 0) + number
        return counts

    def _rows(self, table: Table[S], name: str, order: str) -> list[S]:
        db = sqlite3.connect(self.ledger_path)
        try:
            return [table.kind(*row) for row in db.execute(f"SELECT {table.columns} FROM {name} ORDER BY {order}")]
        finally:
            db.close()


async def scanned(
    tmp_path: Path,
    harness: str,
    root: Path,
    *,
    home: bool = False,
    environ: Mapping[str, str] | None = None,
    platform: str = "linux",
) -> Scanned:
    """Scan `root` for logs of `harness` alone, into a ledger below `tmp_path`.

    `root` is anything that `--root HARNESS=PATH` takes: a home, the harness's home, a data folder, a folder or file
    with logs. With `home` it is the user's home, whose logs are looked for as on `platform` and with `environ`.
    """
    others = {name: HarnessSettings(enabled=False) for name in HARNESSES if name != harness}
    if home:
        places = Places(homes=[root], own_home=root, environ=dict(environ or {}), platform=platform, harnesses=others)
    else:
        places = Places(homes=[], platform=platform, harnesses=others | {harness: HarnessSettings(roots=[str(root)])})
    seen = Scanned(tmp_path / "trueup-data", places)
    await seen.scan()
    return seen
