"""From lines that carry usage to requests, each with its identity. Changes the reader's state, writes nothing else."""

from typing import Any, NamedTuple

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.codex import usage as usages
from trueup_agent.harnesses.codex.shapes import DECODE, Info, TokenCount, UsageRecord, decode_any
from trueup_agent.harnesses.codex.state import State
from trueup_agent.harnesses.codex.usage import Request, Vector

Identity = tuple[str | int | None, ...]

_TOLD = 8  # requests that the other kind of record may still repeat
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
    if s.prev is not None and usages.is_reset(s.prev, total):
        s.epoch += 1
    request = usages.advance(s.prev, total, last, is_child=s.is_child)
    s.prev = total if total.has_tokens() else usages.ZERO
    if request is None:
        return None
    told = request.usage.identity()[:4]
    if told in s.told_by_records:
        s.told_by_records.remove(told)
        return None
    s.told_by_counts = [*s.told_by_counts[1 - _TOLD :], told]
    unique = s.turn_is_unique()
    if s.replay.active and not unique:
        return None
    identity: Identity = (s.turn_id if unique else s.thread_id, *total.identity())
    return (identity if s.epoch == 0 else (*identity, "epoch", s.epoch)), request


def record(s: State, line: UsageRecord) -> tuple[Identity, Request] | None:
    """A newer line per response, beside the token_count that repeats it: one of the two counts."""
    response_id = values.text(line.response_id)
    usage = usages.vector(decode_any(line.usage)) if bytes(line.usage) else None
    if usage is None or not usage.has_tokens() or response_id is None:
        return None
    total, told = usages.vector(line.thread_token_usage), usage.identity()[:4]
    if total is not None and total.has_tokens():
        if s.prev is not None and usages.advance(s.prev, total, usage, is_child=s.is_child) is None:
            return None  # its token_count came first
        s.prev = total
    elif told in s.told_by_counts:
        s.told_by_counts.remove(told)
        return None
    else:
        s.told_by_records = [*s.told_by_records[1 - _TOLD :], told]
    return ("response", response_id), Request(usage, usage.input, False)
