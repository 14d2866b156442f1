"""One pass: what is new in the sources goes into the ledger, newest first.

A small change is parsed here; a large backlog by parser processes, while this one writes. Rows and the positions that
cover them commit together, so a pass that is killed at any moment is finished by the next.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic

import msgspec

from trueup_agent import discover, workers
from trueup_agent.discover import Discovery, Found, RootArg
from trueup_agent.errors import cause_of
from trueup_agent.glance import (
    ScanResult,
    drift_suspected,
    harness_counts,
    has_changed,
    newly_gone,
    unreadable,
    vanished,
)
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import ROWS, WHOLE
from trueup_agent.ledger import Ledger, SourceInfo, SourceUpdate, WriteCounts
from trueup_agent.ledger.reread import Given
from trueup_agent.ledger.sources import GONE
from trueup_agent.reading import Job, Reading
from trueup_agent.settings import Loaded

# Below this, starting a process takes longer than parsing.
BACKLOG_BYTES = 16 << 20
# Rows of a transaction: enough that its overhead does not show, few enough that a reader sees progress.
GROUP_ROWS = 4_000
# An unfinished line is kept this long at most, so that it need not be read again when it goes on.
HELD_BYTES = 8 << 20
IGNORED_PATHS = 10_000
# A look around after changes of unknown files takes at most this part of the time: one in five seconds.
LOOKS_APART = 4

Progress = Callable[[int, int], None]  # bytes done, bytes in all


class PassMemory:
    """What the passes of one process remember, so that an append costs its own bytes wherever it was cut.

    Unfinished last lines need not be read again; paths that are no logs need not be looked up again, nor all the time.
    """

    def __init__(self) -> None:
        self.no_logs: set[str] = set()
        self.strangers: set[str] = set()  # paths that wait to be looked up
        self.look_after = 0.0  # monotonic
        self._lines: dict[bytes, bytes] = {}
        self._bytes = 0

    def take(self, source_key: bytes) -> bytes:
        """The unfinished line of a source, and forget it."""
        held = self._lines.pop(source_key, b"")
        self._bytes -= len(held)
        return held

    def keep(self, source_key: bytes, held: bytes) -> None:
        if held and self._bytes + len(held) <= HELD_BYTES:
            self._lines[source_key] = held
            self._bytes += len(held)

    def due(self, strangers: set[str]) -> set[str]:
        """Paths to be looked up now; none where that was done a moment ago, then the next call gets these as well."""
        self.strangers |= strangers
        if monotonic() < self.look_after:
            return set()
        strangers, self.strangers = self.strangers, set()
        return strangers

    def ignore(self, paths: set[str]) -> None:
        if len(self.no_logs) > IGNORED_PATHS:
            self.no_logs.clear()
        self.no_logs |= paths


async def scan(
    ledger: Ledger,
    settings: Loaded,
    roots: Sequence[RootArg] | None = None,
    progress: Progress | None = None,
    memory: PassMemory | None = None,
    reread: bool = False,
) -> ScanResult:
    """One pass over all sources, or over those of `roots` only: then the others are left as they are.

    With `reread` every source is parsed from its beginning, changed or not; rows that no log gives any more although
    none of it was lost are withdrawn (ledger/reread.py).

    Raises RootNotFound, WorkerDied and the ledger's errors.
    """
    started = monotonic()
    async with ledger.collecting:
        found = await asyncio.to_thread(discover.discover, settings.places, roots)
        known = {source.source_key: source for source in await ledger.sources()}
        # Before what is new is read: where a log was moved, its events are not gone.
        known |= {source.source_key: source for source in await _mark_gone(ledger, newly_gone(found, known))}
        collector = _Collector(ledger, known, progress, memory, Given.nothing() if reread else None)
        await collector.read(found.found)
        if memory is not None and roots is None:
            memory.strangers.clear()
        await _finish_versions(ledger, known, found.complete, collector.counts)
        if collector.given is not None:
            failed = {source.harness for f in found.found if (source := known[f.key]).error is not None}
            collector.counts.add(await ledger.withdraw_missing(collector.given, found.complete - failed))
        return await _result(ledger, found, collector, monotonic() - started)


async def collect_paths(
    ledger: Ledger, settings: Loaded, paths: Iterable[Path], memory: PassMemory | None = None
) -> WriteCounts:
    """Read the sources that lie at `paths`, or have something beside them there, which a watcher saw change."""
    memory = memory or PassMemory()
    async with ledger.collecting:
        wanted = {path for path in map(str, paths) if discover.is_text(path)}
        lost = {path for path in wanted if vanished(path)}
        sources = await ledger.sources_at(discover.with_parents(wanted)) + await ledger.sources_below(lost)
        found = {f.key: f for f in discover.known_sources(sources)}
        known = {path for source in sources if source.state != GONE for path in (source.path, *source.companions)}
        strangers = {path for path in wanted - lost - memory.no_logs if not known & discover.with_parents([path])}
        if strangers := memory.due(strangers):
            found |= {f.key: f for f in await _look_up(settings, strangers, memory)}
            sources += await ledger.sources_of(list(found))
        collector = _Collector(ledger, {source.source_key: source for source in sources}, None, memory)
        # Before what is new is read, as in `scan`.
        await _mark_gone(
            ledger, [s for s in sources if s.state != GONE and s.source_key not in found and vanished(s.path)]
        )
        await collector.read(found.values())
        return collector.counts


async def _look_up(settings: Loaded, strangers: set[str], memory: PassMemory) -> list[Found]:
    """Sources that the ledger does not have under these paths."""
    started = monotonic()
    at = discover.with_parents(strangers)
    new: list[Found] = []
    for name in discover.harnesses_at(settings.places, strangers):
        look = await asyncio.to_thread(discover.discover, settings.places, only=name)
        new += discover.concerned(look.found, at)
    claimed = {str(path) for f in new for path in (f.source.path, *f.source.companions)}
    memory.ignore({path for path in strangers if not claimed & discover.with_parents([path])})
    memory.look_after = monotonic() + LOOKS_APART * (monotonic() - started)
    return new


class _Collector:
    """Groups updates into transactions."""

    def __init__(
        self,
        ledger: Ledger,
        known: dict[bytes, SourceInfo],
        progress: Progress | None,
        memory: PassMemory | None,
        given: Given | None = None,
    ) -> None:
        self.counts = WriteCounts()
        self.bytes_read = self.sources_read = 0
        self.given = given  # of a pass that reads everything again
        self._ledger = ledger
        self.known = known
        self._progress = progress
        self._memory = memory or PassMemory()
        self._group: list[SourceUpdate] = []
        self._rows = 0
        self._remaining: dict[bytes, int] = {}
        self._total = 0

    async def read(self, found: Iterable[Found]) -> None:
        """Read what changed since it was last read, newest first."""
        changed = sorted(
            (f for f in found if self.given is not None or has_changed(f, self.known.get(f.key))),
            key=lambda f: f.status.st_mtime_ns,
            reverse=True,
        )
        states = await self._ledger.sources_of([f.key for f in changed if f.key in self.known])
        self.known.update((source.source_key, source) for source in states)
        self._remaining = {f.key: self._pending(f) for f in changed}
        self._total = sum(self._remaining.values())
        jobs = [self._job(f) for f in changed]
        self.sources_read += len(jobs)
        count = workers.worker_count()
        if self._total >= BACKLOG_BYTES and count > 0 and len(jobs) > 1:
            await self._read_with_workers(jobs, count)
        else:
            for job in jobs:
                reading = Reading(job, self._memory.take(job.source_key))
                updates = reading.updates()
                # Beside the event loop: one source may take minutes, and the daemon has a watchdog.
                while (update := await asyncio.to_thread(next, updates, None)) is not None:
                    await self._deliver(update)
                self._memory.keep(job.source_key, reading.held)
        await self._write()

    async def _read_with_workers(self, jobs: list[Job], count: int) -> None:
        """The workers fill a short queue while the ledger is written."""
        queue: asyncio.Queue[SourceUpdate | None] = asyncio.Queue(maxsize=4)

        async def write() -> None:
            while (update := await queue.get()) is not None:
                await self._deliver(update)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(write(), name="write")
                await workers.parse(jobs, count, queue.put)
                await queue.put(None)
        except BaseExceptionGroup as failed:
            raise cause_of(failed) from None

    async def _deliver(self, update: SourceUpdate) -> None:
        source = update.source
        self.bytes_read += update.bytes_read
        if self.given is not None:
            self.given.add(update)
        old = self.known.get(source.source_key)
        if update.rows or old != source or update.seen is not None:
            # Of everything the parsers' states would be a lot, and nobody looks at them again.
            kept = source if self.given is None else msgspec.structs.replace(source, parser_state=None)
            self.known[source.source_key] = kept
            self._group.append(update)
            self._rows += update.rows
        self._remaining[source.source_key] = max(0, self._remaining[source.source_key] - update.bytes_read)
        if self._rows >= GROUP_ROWS:
            await self._write()

    async def _write(self) -> None:
        if self._group:
            group, self._group, self._rows = self._group, [], 0
            self.counts.add(await self._ledger.write(group))
        if self._progress is not None:
            self._progress(self._total - sum(self._remaining.values()), self._total)

    def _pending(self, found: Found) -> int:
        known = self.known.get(found.key)
        size = found.status.st_size
        if known is None or known.compressed or known.kind == WHOLE or self.given is not None:
            return size
        if known.kind == ROWS:
            return 0  # past a watermark; nearly always
        return size - known.position if known.position <= size else size

    def _job(self, found: Found) -> Job:
        source = found.source
        return Job(
            source_key=found.key,
            harness=source.harness,
            path=str(source.path),
            identity=source.identity,
            compressed=source.compressed,
            kind=source.kind,
            companions=tuple(map(str, source.companions)),
            known=self.known.get(found.key),
            policy=self._ledger.policy,
            reread=self.given is not None,
        )


async def _mark_gone(ledger: Ledger, sources: Iterable[SourceInfo]) -> list[SourceInfo]:
    """Logs that vanished stay in the ledger with all their rows."""
    gone = [msgspec.structs.replace(source, state=GONE, error=None) for source in sources]
    if gone:
        await ledger.write([SourceUpdate(source=source, seen=b"") for source in gone])
    return gone


async def _finish_versions(
    ledger: Ledger, known: dict[bytes, SourceInfo], complete: set[str], counts: WriteCounts
) -> None:
    """After a pass over everything: what a newer parser did not emit again is withdrawn, or derived another way."""
    reread = {source.harness for source in known.values() if source.reread}
    for harness, floor in await ledger.query("SELECT harness, floor FROM harnesses"):
        if harness in complete and (harness in reread or HARNESSES[harness].data_version > floor):
            counts.add(await ledger.rederive(HARNESSES[harness]))


async def _result(ledger: Ledger, found: Discovery, collector: _Collector, seconds: float) -> ScanResult:
    rows = {row[0]: row[1:] for row in await ledger.query("SELECT harness, sessions, messages, events FROM harnesses")}
    return ScanResult(
        harnesses=harness_counts(rows, collector.known.values()),
        inserted=collector.counts.inserted,
        restated=collector.counts.restated,
        unchanged=collector.counts.unchanged,
        removed=collector.counts.removed,
        seconds=round(seconds, 3),
        bytes_read=collector.bytes_read,
        sources_read=collector.sources_read,
        unreadable=unreadable(found, collector.known.values()),
        drift_suspected=drift_suspected(collector.known.values()),
    )
