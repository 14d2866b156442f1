"""From lines that carry usage to requests, each with its identity. Changes the reader's state, writes nothing else."""

from typing import Any, NamedTuple

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.codex import usage as usages
from trueup_agent.harnesses.codex.shapes import DECODE, Info, TokenCount, UsageRecord, decode_any
from trueup_agent.harnesses.codex.state import State
from trueup_agent.harnesses.codex.usage import Request, Vector

Identity = tuple[str | int | None, ...]

_TOLD = 8  # requests that a response's own record may still repeat
_encode_json = msgspec.json.Encoder().encode


class Count(NamedTuple):
    """One observation of the counter. `raw`: the object as logged."""

    total: Vector | None
    last: Vector | None
    model: str | None
    thread_id: Any
    raw: bytes


def read_token_count(payload: memoryview) -> Count | None:
    """None when the line tells of rate limits only."""
    count: TokenCount = DECODE[TokenCount](payload)
    raw = bytes(count.info)
    if raw in (b"", b"null"):
        return None if count.usage is None else _read_odd(count, count.usage, _encode_json(count.usage))
    try:
        info: Info = DECODE[Info](count.info)
    except msgspec.ValidationError:
        return _read_odd(count, decode_any(raw), raw)
    last = info.last_token_usage
    return Count(
        usages.of_usage(info.total_token_usage),
        None if last is None else usages.of_usage(last),
        _first_text(info.model, info.model_name, count.model, count.model_name),
        count.thread_id,
        raw,
    )


def _read_odd(count: TokenCount, info: Any, raw: bytes) -> Count | None:
    """Shapes of other builds; in the oldest the object itself is the usage of one request."""
    if not isinstance(info, dict):
        return None
    total = usages.vector(info.get("total_token_usage"))
    last = usages.vector(info.get("last_token_usage"))
    if total is None and last is None:
        last = usages.vector(info)
    model = _first_text(info.get("model"), info.get("model_name"), count.model, count.model_name)
    return Count(total, last, model, count.thread_id, raw)


def _first_text(*candidates: Any) -> str | None:
    return next((found for one in candidates if (found := values.text(one)) is not None), None)


def observe(s: State, total: Vector | None, last: Vector | None) -> tuple[Identity, Request] | None:
    """The request that a token_count tells of, if it is a new one that counts here."""
    if total is None:
        if last is None or last == s.prev_last or not last.has_tokens():
            return None
        s.prev_last, total = last, usages.plus(s.prev or usages.ZERO, last)
    if total == s.prev:
        return None  # the same again, for a rate limit that was refreshed
    reset = s.prev is not None and usages.is_reset(s.prev, total)
    s.epoch += reset
    request = usages.advance(s.prev, total, last, is_child=s.is_child)
    s.prev = total if total.has_tokens() else usages.ZERO
    if request is None:
        return None
    if s.turn_has_records or (s.has_records and reset):
        return None  # see `record`
    s.told_by_counts = [*s.told_by_counts[1 - _TOLD :], _told(request.usage)]
    unique = s.turn_is_unique()
    if s.replay.active and not unique:
        return None
    identity: Identity = (s.turn_id if unique else s.thread_id, *total.identity())
    return (identity if s.epoch == 0 else (*identity, "epoch", s.epoch)), request


def is_readable(line: UsageRecord) -> bool:
    """Does it bear usage, as all of its kind do?"""
    return bool(bytes(line.usage)) and usages.vector(decode_any(line.usage)) is not None


def record(s: State, line: UsageRecord) -> tuple[Identity, Request] | None:
    """A newer line per response, beside the token_count that repeats it: one of the two counts.

    In a turn that has such lines they count, for they alone tell what compactions used, and the other counter is only
    kept up roughly: a resumed thread may go back to an older one. `thread_token_usage` is not that counter: it begins
    at zero in a child and in an older thread that goes on. Turns of older releases have counts only.
    """
    usage = usages.vector(decode_any(line.usage)) if bytes(line.usage) else None
    name = _record_name(s, line)
    if usage is None or not usage.has_tokens() or name is None:
        return None
    s.has_records = s.turn_has_records = True
    if (told := _told(usage)) in s.told_by_counts:
        s.told_by_counts.remove(told)
        return None  # its token_count came first
    return ("response", *name), Request(usage, usage.input, False)


def _record_name(s: State, line: UsageRecord) -> Identity | None:
    response_id = values.text(line.response_id)
    if response_id is not None:
        return (response_id,)
    total = usages.vector(line.thread_token_usage)
    return None if total is None else (s.thread_id, *total.identity())


def _told(usage: Vector) -> tuple[int, ...]:
    return usage.identity()[:4]
