"""The drift canary (design section 4): has a harness that goes on while no usage is found changed its format?

It sings from what sources say of the time since their last answer with usage, newest source first. The first that had
any ends the look: what is older was read well.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger.sources import SourceInfo

# Fewer answers may have been cut short. A megabyte comes with one image, or while a long command tells of its progress:
# where nothing was answered, people ask again.
ANSWERS = 3
BYTES = 1 << 20
PROMPTS = 3
UNKNOWN = 20


class Suspicion(Struct, frozen=True, kw_only=True):
    """What was read of a harness since the last usage. `since`: when that was, microseconds UTC; None: never."""

    answers: int = 0
    bytes: int = 0
    prompts: int = 0
    lines: int = 0
    unknown: int = 0
    since: int | None = None

    def plus(self, source: SourceInfo) -> "Suspicion":
        # What is no log may be large for any reason: databases hold much else.
        is_log = source.kind == "lines"
        return Suspicion(
            answers=self.answers + source.unmetered,
            bytes=self.bytes + (source.unmetered_bytes if is_log else 0),
            prompts=self.prompts + source.unmetered_prompts,
            lines=self.lines + source.unmetered_lines,
            unknown=self.unknown + source.unmetered_unknown,
            since=source.metered_at,
        )

    @property
    def holds(self) -> bool:
        grew = self.since is not None and self.bytes >= BYTES and self.prompts >= PROMPTS
        strange = self.unknown >= UNKNOWN and self.unknown * 2 > self.lines
        return self.answers >= ANSWERS or grew or strange

    @property
    def words(self) -> str:
        if self.answers >= ANSWERS:
            what = f"its last {self.answers:,} answers have no usage"
        elif self.unknown >= UNKNOWN:
            what = f"its last {self.lines:,} records have no usage, and {self.unknown:,} of them are of unknown types"
        else:
            what = f"its last {self.bytes / 1e6:,.1f} MB of logs have no usage"
        when = "none was ever found"
        if self.since is not None:
            when = f"the last is of {datetime.fromtimestamp(self.since / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
        return f"{what} ({when}): its format may have changed; update trueup, then scan again"


def suspected(sources: Iterable[SourceInfo]) -> dict[str, Suspicion]:
    """Harnesses under suspicion, of those that report tokens, given all sources as they are now."""
    by_harness: dict[str, list[SourceInfo]] = {}
    for source in sources:
        by_harness.setdefault(source.harness, []).append(source)
    found = {}
    for harness, of in sorted(by_harness.items()):
        if harness not in HARNESSES or not HARNESSES[harness].about.counters:
            continue
        suspicion = Suspicion()
        for source in sorted(of, key=lambda s: s.mtime_ns, reverse=True):
            suspicion = suspicion.plus(source)
            if suspicion.since is not None:
                break
        if suspicion.holds:
            found[harness] = suspicion
    return found
