"""Is there anything to read at all? A look that takes no lock and starts no event loop: a `stat` of each log.

Also what a pass and a look have in common: which sources changed, and what is reported.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic, time_ns

from msgspec import Struct, field

from trueup_agent import discover, drift
from trueup_agent.discover import Discovery, Found, RootArg
from trueup_agent.errors import LedgerMissing, LedgerUnusable
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import LedgerReader, SourceInfo, restate
from trueup_agent.ledger.sources import GONE, is_mistake_of_another_release
from trueup_agent.settings import Loaded


class HarnessCounts(Struct, kw_only=True):
    """What the ledger has of a harness after the pass."""

    sources: int = 0
    sessions: int = 0
    messages: int = 0
    events: int = 0
    skipped_lines: int = 0
    unknown_records: int = 0


class ScanResult(Struct, kw_only=True):
    """`trueup agent scan --json`. `unreadable`: path -> reason, directories and logs."""

    harnesses: dict[str, HarnessCounts]
    inserted: int = 0
    restated: int = 0
    unchanged: int = 0
    removed: int = 0
    seconds: float = 0.0
    bytes_read: int = 0
    sources_read: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    drift_suspected: dict[str, str] = field(default_factory=dict)  # harness -> why, and what to do


def nothing_new(settings: Loaded, roots: Sequence[RootArg] | None = None) -> ScanResult | None:
    """The result of a pass that would find nothing to do; None when there is something. Raises RootNotFound."""
    started = monotonic()
    try:
        with LedgerReader(settings.data_dir) as reader:
            reader.snapshot()
            found = discover.discover(settings.places, roots)
            known = {source.source_key: source for source in reader.sources()}
            rows = reader.harness_rows()
            pending = (
                reader.meta(restate.BASIS) != restate.basis(settings.agent.policy)
                or any(has_changed(f, known.get(f.key)) for f in found.found)
                or any(True for _ in newly_gone(found, known))
                or any(
                    HARNESSES[name].data_version > n for name, n in reader.floors().items() if name in found.complete
                )
                or any(source.reread for source in known.values())
            )
    except (LedgerMissing, LedgerUnusable):
        return None  # for the pass to make, or to say in words
    if pending:
        return None
    return ScanResult(
        harnesses=harness_counts(rows, known.values()),
        unreadable=unreadable(found, known.values()),
        drift_suspected=drift_suspected(known.values()),
        seconds=round(monotonic() - started, 3),
    )


def has_changed(found: Found, known: SourceInfo | None) -> bool:
    return (
        known is None
        or not known.looks_unchanged(found.status)
        or known.data_version != HARNESSES[known.harness].data_version
        or known.path != str(found.source.path)
        or known.state == GONE
        or known.fingerprint != found.fingerprint
        or 0 < known.full_due_at <= time_ns() // 1000
        or is_mistake_of_another_release(known.error)
    )


def newly_gone(found: Discovery, known: Mapping[bytes, SourceInfo]) -> Iterable[SourceInfo]:
    """Sources that vanished since the last pass. What is only closed to us, or no longer looked for, has not."""
    present = {f.key for f in found.found}
    for key, source in known.items():
        if key not in present and source.harness in found.complete and source.state != GONE and vanished(source.path):
            yield source


def vanished(path: str) -> bool:
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def harness_counts(rows: Mapping[str, tuple[int, int, int]], sources: Iterable[SourceInfo]) -> dict[str, HarnessCounts]:
    """`rows`: harness -> rows of sessions, messages, events."""
    counts = {
        name: HarnessCounts(sessions=sessions, messages=messages, events=events)
        for name, (sessions, messages, events) in rows.items()
    }
    for source in sources:
        of_harness = counts.setdefault(source.harness, HarnessCounts())
        of_harness.sources += 1
        of_harness.skipped_lines += source.skipped_lines
        of_harness.unknown_records += source.unknown_records
    return counts


def drift_suspected(sources: Iterable[SourceInfo]) -> dict[str, str]:
    return {name: why.words for name, why in drift.suspected(sources).items()}


def unreadable(found: Discovery, sources: Iterable[SourceInfo]) -> dict[str, str]:
    return found.unreadable | {source.path: source.error for source in sources if source.error is not None}
