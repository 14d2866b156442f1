"""Which copy of an event counts (design section 7): decided by the copies alone, never by their arrival."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from trueup_hub.ingest.copies import EventCopy
from trueup_shared.metrics import BIT, COUNTERS, MAX_COUNTER, total_tokens
from trueup_shared.wire import OLD_DATA

# Between equal copies the host enrolled first decides, then the ledger: (enrolled_at, host_id, ledger_id).
Precedence = tuple[datetime, bytes, bytes]

_OUTPUT = BIT["output_tokens"]
_EXACT, _DERIVED, _LOWER_BOUND, _UNKNOWN = 3, 2, 1, 0
_MAX_VERSION = 255


def output_quality(copy: EventCopy) -> int:
    if copy.output_tokens is None:
        return _UNKNOWN
    if copy.lower_bounds is not None and copy.lower_bounds & _OUTPUT:
        return _LOWER_BOUND
    return _DERIVED if copy.derived is not None and copy.derived & _OUTPUT else _EXACT


def total_of(copy: EventCopy) -> int:
    total = total_tokens(
        *(copy.input_tokens, copy.cache_read_tokens, copy.cache_write_tokens, copy.output_tokens),
        *(copy.input_undivided_tokens, copy.undivided_tokens),
    )
    return total or 0


class Versions(Struct, frozen=True):
    """Effective data versions. A copy counts by what its ledger has re-derived it at, up to what this release knows.

    `caps` by harness, `floors` by ledger_no and harness (terms).
    """

    caps: Mapping[int, int]
    floors: Mapping[tuple[int, int], int]

    def of(self, copy: EventCopy) -> int:
        old = copy.flags is not None and bool(copy.flags & OLD_DATA)
        return self.effective(copy.ledger_no, copy.harness, copy.data_version, old)

    def effective(self, ledger_no: int, harness: int, version: int, old_data: bool) -> int:
        if not old_data:
            version = max(version, self.floors.get((ledger_no, harness), 0))
        return min(version, self.caps.get(harness, 0), _MAX_VERSION)


def rank(copy: EventCopy, versions: Versions) -> int:
    """63 bits, more is better: output quality, data version, the billed total where output is not exact."""
    quality = output_quality(copy)
    total = 0 if quality == _EXACT else min(total_of(copy), MAX_COUNTER)
    return quality << 61 | versions.of(copy) << 53 | total


def series_rank(version: int, total: int) -> int:
    """More is better: the data version that all of a ledger's events of the series have, then their sum."""
    return version << 128 | total


def best(ranked: Sequence[tuple[int, int]], precedence: Mapping[int, Precedence]) -> int:
    """The ledger that counts, of (rank, ledger_no) pairs."""
    return min(ranked, key=lambda pair: (-pair[0], precedence[pair[1]]))[1]


def conflicts(winner: EventCopy, other: EventCopy, versions: Versions) -> bool:
    """Both exact at one data version, and yet different numbers."""
    return (
        output_quality(winner) == _EXACT
        and rank(winner, versions) == rank(other, versions)
        and any(getattr(winner, name) != getattr(other, name) for name in COUNTERS)
    )
