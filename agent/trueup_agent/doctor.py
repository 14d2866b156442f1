"""`trueup agent doctor`: for every harness where it was looked for, what was found, what could not be read."""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from trueup_agent import discover
from trueup_agent.errors import LedgerMissing
from trueup_agent.glance import HarnessCounts, harness_counts
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import LedgerReader, SourceInfo
from trueup_agent.ledger.sources import GONE
from trueup_agent.settings import HarnessSettings, Loaded

_CLOSED = {os.strerror(errno.EACCES), os.strerror(errno.EPERM)}

PlaceState = Literal["found", "absent", "no permission", "not a folder"]


class Place(Struct, frozen=True):
    """A folder that was looked at."""

    path: str
    state: PlaceState


class Finding(Struct, kw_only=True):
    """One harness on this machine. `sources`: there now; `ledger`: what was read of it so far."""

    harness: str
    name: str
    enabled: bool
    verified: bool
    places: list[Place]
    sources: int
    bytes: int
    gone: int  # sources of the ledger that are no longer there
    unread: int  # sources of now that the ledger does not have
    ledger: HarnessCounts
    skipped: dict[str, int]  # reason -> lines
    unknown: dict[str, int]  # record type -> records
    unreadable: dict[str, str]  # path -> reason
    reports: dict[str, str]  # counter -> how well
    undercounts: list[str]
    advice: list[str]


def examine(loaded: Loaded, names: Sequence[str] = ()) -> list[Finding]:
    """Findings of `names`, or of all harnesses: those with logs first. Changes nothing and needs no ledger."""
    try:
        with LedgerReader(loaded.data_dir) as reader:
            reader.snapshot()
            known, rows = reader.sources(), reader.harness_rows()
    except LedgerMissing:
        known, rows = [], {}
    counts = harness_counts(rows, known)
    of_harness: dict[str, list[SourceInfo]] = {}
    for source in known:
        of_harness.setdefault(source.harness, []).append(source)
    findings = [
        _finding(loaded, name, of_harness.get(name, []), counts.get(name, HarnessCounts()))
        for name in names or HARNESSES
    ]
    return sorted(findings, key=lambda finding: not (finding.sources or finding.ledger.sources))


def _finding(loaded: Loaded, name: str, known: list[SourceInfo], ledger: HarnessCounts) -> Finding:
    harness, settings = HARNESSES[name], loaded.places.harnesses.get(name, HarnessSettings())
    found = discover.discover(loaded.places, only=name) if settings.enabled else discover.Discovery([], {}, set())
    keys = {source.source_key for source in known}
    finding = Finding(
        harness=name,
        name=harness.about.name,
        enabled=settings.enabled,
        verified=harness.about.verified,
        places=[_place(folder, found) for folder in discover.data_folders(harness, loaded.places)],
        sources=len(found.found),
        bytes=sum(f.status.st_size for f in found.found),
        gone=sum(source.state == GONE for source in known),
        unread=sum(f.key not in keys for f in found.found),
        ledger=ledger,
        skipped=_sum(source.skipped for source in known),
        unknown=_sum(source.unknown for source in known),
        unreadable=found.unreadable | {source.path: source.error for source in known if source.error},
        reports=dict(harness.about.counters),
        undercounts=list(harness.about.undercounts),
        advice=[],
    )
    finding.advice = _advice(finding, harness.about.variables)
    return finding


def _place(folder: Path, found: discover.Discovery) -> Place:
    try:
        is_log = any(log.source.path == folder for log in found.found)
        return Place(str(folder), "found" if is_log or _lists(folder) else "not a folder")
    except (FileNotFoundError, NotADirectoryError):
        return Place(str(folder), "absent")
    except OSError:
        return Place(str(folder), "no permission")


def _lists(folder: Path) -> bool:
    if not folder.is_dir():
        folder.stat()
        return False
    with os.scandir(folder):
        return True


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, number in part.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def _advice(finding: Finding, variables: Sequence[str]) -> list[str]:
    """What to do, one clear sentence each; nothing where all is well."""
    name = finding.harness
    if not finding.enabled:
        return [f"it is switched off: set enabled = true under [harness.{name}] in the settings file to read it"]
    advice = []
    reasons = set(finding.unreadable.values())
    if reasons & _CLOSED or any(place.state == "no permission" for place in finding.places):
        advice.append("let this user read what is listed above, then run `trueup agent scan`")
    if reasons - _CLOSED:
        advice.append("each scan tries again what could not be read: mend or move away what stays listed")
    if any(place.state == "not a folder" for place in finding.places):
        advice.append("a place where a folder is expected holds something else: move it away or name the right one")
    if finding.unread:
        advice.append(f"{finding.unread:,} logs are not read yet: run `trueup agent scan`")
    if finding.unknown:
        advice.append("records of unknown type may be a newer version of the format: update trueup")
    if not finding.sources and not finding.ledger.sources and not advice:
        also = f", or set {' or '.join(variables)} as for {finding.name} itself" if variables else ""
        advice.append(
            f'if {finding.name} is used here, name its place: roots = ["PATH"] under [harness.{name}] in the settings '
            f"file, or once `trueup agent scan --root {name}=PATH`{also}"
        )
    return advice
