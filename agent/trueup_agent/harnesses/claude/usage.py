"""What a `usage` object of Claude Code says, in canonical counters (formats/claude.md, Tokens and Coverage)."""

from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from trueup_agent.harnesses import base
from trueup_agent.harnesses.claude.records import Usage, read_part
from trueup_agent.harnesses.values import counter, text
from trueup_shared.metrics import BIT, MAX_COUNTER

OUTPUT_BIT = BIT["output_tokens"]
CONTEXT_BIT = BIT["context_tokens"]

SYNTHETIC = "<synthetic>"  # written by the client itself: errors, interrupts, notices of usage limits
ADVISOR = "advisor_message"  # an iteration that is a call to another model, not in the top-level numbers

_BEDROCK = ("anthropic.", "arn:aws:bedrock:")


class Counters(Struct, gc=False):
    """Of one request, as one line shows them. None = not reported."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    context_tokens: int | None = None
    lower_bounds: int = 0

    def any(self) -> bool:
        return self.context_tokens is not None or self.output_tokens is not None


UNKNOWN = Counters()


def read_counters(usage: Usage, is_final: bool) -> Counters:
    """`is_final`: the line has a stop reason; without one the output is what was known when it was written."""
    fresh = counter(usage.input_tokens)
    read = counter(usage.cache_read_input_tokens)
    output = counter(usage.output_tokens)
    written, written_1h = _cache_writes(usage)
    if not (fresh or read or written or output):
        return UNKNOWN  # nothing reported, or all zero: a placeholder
    bounds = 0 if is_final or output is None else OUTPUT_BIT
    context = None
    if fresh is not None or read is not None or written is not None:
        context = min((fresh or 0) + (read or 0) + (written or 0), MAX_COUNTER)
        if fresh is None or read is None or written is None:
            bounds |= CONTEXT_BIT
    return Counters(fresh, read, written, written_1h, output, context, bounds)


def is_placeholder(usage: Usage) -> bool:
    """Are there counters, and are they all zero: not known when the line was written?"""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return any(counter(getattr(usage, name)) == 0 for name in names)


def of_raw(raw: bytes, facts: base.Facts) -> base.Usage | None:
    """Of a stored event. Whether the request had ended, its `usage` does not say: that is kept from before."""
    usage = read_part(Raw(raw), Usage)
    if usage is not None and (number := _advisor(facts.identity)) is not None:
        advisors = advisor_calls(usage)
        usage = advisors[number] if number < len(advisors) else None
    if usage is None:
        return None
    counters = read_counters(usage, is_final=not facts.usage.lower_bounds & OUTPUT_BIT)
    return base.Usage(**msgspec.structs.asdict(counters))


def advisor_calls(usage: Usage) -> list[Usage]:
    """Calls to another model within a request: events of their own."""
    return [entry for entry in usage.iterations or () if entry.type == ADVISOR]


def _advisor(identity: str) -> int | None:
    """Its number, where an event is such a call: its identity ends with that."""
    try:
        *_, kind, number = msgspec.json.decode(identity)
        return int(number) if kind == ADVISOR else None
    except (msgspec.DecodeError, TypeError, ValueError):
        return None


def _cache_writes(usage: Usage) -> tuple[int | None, int | None]:
    """All tokens written to the cache, and those of the 1-hour lifetime (None: lifetime unknown)."""
    total = counter(usage.cache_creation_input_tokens)
    split = usage.cache_creation
    if split is None:
        return total, None
    short, long = counter(split.ephemeral_5m_input_tokens), counter(split.ephemeral_1h_input_tokens)
    divided = (short or 0) + (long or 0)
    if (short is None and long is None) or (not divided and total):
        return total, None
    return min(max(total or 0, divided), MAX_COUNTER), long


@lru_cache(maxsize=64)
def model_and_provider(value: str | None) -> tuple[str | None, str | None]:
    """Model as logged, and who served it as far as the name tells: a gateway may serve any model under any name."""
    model = text(value)
    if model is None or model == SYNTHETIC:
        return None, None
    if model.startswith(_BEDROCK) or ".anthropic." in model:
        return model, "bedrock"
    if model.startswith("claude"):
        return model, "vertex" if "@" in model else "anthropic"
    return model, None
