"""Which copy of an event counts (design section 7): decided by the copies alone, never by their arrival."""

from collections.abc import Mapping, Sequence

from trueup_hub.ingest.copies import EventCopy
from trueup_hub.ingest.transaction import Precedence
from trueup_shared.metrics import BIT, COUNTERS, MAX_COUNTER, total_tokens

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


def rank(copy: EventCopy, caps: Mapping[int, int]) -> int:
    """63 bits, more is better: output quality, data version (capped), the billed total where output is not exact."""
    quality = output_quality(copy)
    version = min(copy.data_version, caps.get(copy.harness, 0), _MAX_VERSION)
    total = 0 if quality == _EXACT else min(total_of(copy), MAX_COUNTER)
    return quality << 61 | version << 53 | total


def best(ranked: Sequence[tuple[int, int]], precedence: Mapping[int, Precedence]) -> int:
    """The ledger that counts, of (rank, ledger_no) pairs."""
    return min(ranked, key=lambda pair: (-pair[0], precedence[pair[1]]))[1]


def conflicts(winner: EventCopy, other: EventCopy, caps: Mapping[int, int]) -> bool:
    """Both exact at one data version, and yet different numbers."""
    return (
        output_quality(winner) == _EXACT
        and rank(winner, caps) == rank(other, caps)
        and any(getattr(winner, name) != getattr(other, name) for name in COUNTERS)
    )
