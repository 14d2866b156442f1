"""Counters of a stored event from its raw usage. What the running total had been before, raw usage does not say."""

from collections.abc import Mapping

import msgspec

from trueup_agent.harnesses import base
from trueup_agent.harnesses.codex import usage as usages
from trueup_agent.harnesses.codex.shapes import decode_any
from trueup_agent.harnesses.codex.usage import Request, Vector

_BAD_JSON = (msgspec.DecodeError, ValueError, RecursionError)


def of_raw(raw: bytes, facts: base.Facts) -> base.Usage | None:
    """A difference that was not logged as such stays the difference that it was."""
    try:
        logged, identity = decode_any(raw), decode_any(facts.identity)
    except _BAD_JSON:
        return None
    if not isinstance(logged, Mapping) or not isinstance(identity, list) or not identity:
        return None
    last, context = _logged(logged, identity[0])
    was = _was(facts.usage)
    if facts.usage.derived:
        if was is None:
            return facts.usage
        request = Request(was, context, True)
    elif last is None:
        return None
    else:
        request = Request(_filled(last, was, facts.usage), context, False)
    return base.Usage(**usages.counters(request))


def _logged(logged: Mapping[str, object], kind: object) -> tuple[Vector | None, int | None]:
    """The usage of the request, and the size of its prompt."""
    if kind in ("turn", "response"):
        usage = usages.vector(logged)
        return usage, usage.input if usage is not None and kind == "response" else None
    total = usages.vector(logged.get("total_token_usage"))
    last = usages.vector(logged.get("last_token_usage"))
    if total is None and last is None:
        last = usages.vector(logged)
    if last is not None and not last.has_tokens():
        last = None
    return last or total, last.input if last is not None else None


def _was(usage: base.Usage) -> Vector | None:
    """The producer's counters that a stored event was made of; None where they cannot be put together again."""
    parts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens or 0)
    whole = usage.input_undivided_tokens
    if whole is None and usage.cache_read_tokens is not None:
        if usage.input_tokens is None:
            return None
        whole = sum(part for part in parts if part is not None)
    cached, written = usage.cache_read_tokens, usage.cache_write_tokens
    return Vector(whole, cached, written, usage.output_tokens, usage.reasoning_tokens, None)


def _filled(last: Vector, was: Vector | None, usage: base.Usage) -> Vector:
    """What the request's own numbers do not say was told by the running total beside them."""
    if was is not None:
        last = Vector(*(b if a is None else a for a, b in zip(last, was, strict=True)))
    if last.cache_write == 0 and usage.cache_write_tokens is None:
        last = last._replace(cache_write=None)  # in copied history, see CodexParser.emit_event
    return last
