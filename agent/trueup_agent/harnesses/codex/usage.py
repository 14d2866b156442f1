"""Codex counts cumulatively and re-emits at will: what one observation of the counter says about one request.

Rules and their evidence: formats/codex.md, "Tokens" and "Algorithm". Pure functions over small vectors.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trueup_agent.harnesses import values
from trueup_agent.harnesses.codex.shapes import Usage
from trueup_shared.metrics import BIT, MAX_COUNTER


class Vector(NamedTuple):
    """The producer's own counters, None = not logged. `input` includes cached and cache_write, `output` reasoning."""

    input: int | None
    cached: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    total: int | None

    def components(self) -> tuple[int | None, ...]:
        """Without `total`, which the producer also uses for estimates and overflow markers."""
        return self[:5]

    def has_tokens(self) -> bool:
        return any(self[:5])

    def says_anything(self) -> bool:
        return any(n is not None for n in self)

    def identity(self) -> tuple[int, ...]:
        """What names a state of the counter. A newer release that copies an older one's history writes 0 where the
        original had no field, and knows cache_write where it did not: neither may change the name."""
        return (self.input or 0, self.cached or 0, self.output or 0, self.reasoning or 0, self.total or 0)


ZERO = Vector(0, 0, 0, 0, 0, 0)


class Request(NamedTuple):
    """The usage of one request. `derived`: it is a difference that the producer did not report as such."""

    usage: Vector
    context: int | None
    derived: bool


def of_usage(usage: Usage) -> Vector:
    return Vector(
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_input_tokens,
        usage.output_tokens,
        usage.reasoning_output_tokens,
        usage.total_tokens,
    )


def vector(usage: Any) -> Vector | None:
    """Decoded usage object to a vector; None when it names none of the counters."""
    if not isinstance(usage, Mapping):
        return None

    def read(*names: str) -> int | None:
        return next((n for name in names if (n := values.counter(usage.get(name))) is not None), None)

    result = Vector(
        read("input_tokens", "prompt_tokens", "prompt"),
        read("cached_input_tokens"),
        read("cache_write_input_tokens"),
        read("output_tokens", "completion_tokens", "completion"),
        read("reasoning_output_tokens"),
        read("total_tokens"),
    )
    return None if result == (None,) * 6 else result


def plus(one: Vector, other: Vector) -> Vector:
    pairs = zip(one, other, strict=True)
    return Vector(*(a if b is None else b if a is None else min(a + b, MAX_COUNTER) for a, b in pairs))


def _minus(now: Vector, before: Vector) -> Vector:
    return Vector(*(None if n is None else n - (b or 0) for n, b in zip(now, before, strict=True)))


def _same(one: Vector, other: Vector) -> bool:
    """Equal wherever both say something."""
    return all(a is None or b is None or a == b for a, b in zip(one.components(), other.components(), strict=True))


def advance(prev: Vector | None, total: Vector, last: Vector | None, *, is_child: bool) -> Request | None:
    """What `total` adds to `prev`; None when it is no new request. The caller then takes `total` for `prev`."""
    if last is not None and not last.has_tokens():
        last = None  # an estimate after a compaction has only a total
    context = last.input if last else None
    if not total.has_tokens():
        return None  # overflow marker, or the zero baseline of a new thread
    if prev is None:
        if last is not None:
            return Request(last, context, False)
        # Seeded by whatever went before: a child's first total contains its parent's tokens.
        return None if is_child else Request(total, context, False)
    if is_reset(prev, total):
        return Request(last or total, context, True)
    usage = _minus(total, prev)
    if not usage.has_tokens():
        return None
    return Request(usage, context, last is None or not _same(usage, last))


def is_reset(prev: Vector, total: Vector) -> bool:
    """The counter began anew: after an overflow it starts from zero, and some builds lose it."""
    for before, now in zip(prev.components(), total.components(), strict=True):
        if before is not None and now is not None and now < before:
            return True
    return False


def counters(request: Request) -> dict[str, Any]:
    """Canonical counters with their coverage, as fields of an EventRecord."""
    usage = request.usage
    found: dict[str, Any] = {
        "cache_read_tokens": usage.cached,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
    }
    if usage.input is not None and usage.cached is not None:
        plain = usage.input - usage.cached - (usage.cache_write or 0)
        found["input_tokens"] = plain if plain >= 0 else None  # the source contradicts itself
    else:
        found["input_undivided_tokens"] = usage.input
    if request.derived:
        found["derived"] = sum(BIT[name] for name, n in found.items() if n is not None)
    found["context_tokens"] = request.context
    return found
