"""One model generation, from a row of `gen_metadata` or an entry of a sidecar (formats/antigravity.md)."""

from typing import Any

from msgspec import Struct

from trueup_agent.harnesses.antigravity import protobuf
from trueup_agent.harnesses.antigravity.protobuf import Budget, Fields
from trueup_agent.harnesses.antigravity.usage import of_block, of_json
from trueup_agent.harnesses.values import epoch, micros, text

MAX_FIELDS = 20_000  # of one row
MAX_STEP_FIELDS = 4_000  # looked at for a time in the payload of one step
_DEPTH = 5
_EARLIEST = 1_730_000_000  # seconds; before the program existed a number is no time of its steps
_LATEST = 4_000_000_000

_CHAT_MODEL, _STEPS = 1, 2
_USAGE, _START, _SLUG, _MAP, _DISPLAY = 4, 9, 19, 20, 21
_ENUM, _RESPONSE, _CREATED = 1, 11, 4
_FIRST_PLACEHOLDER = 1000  # model enum 1016 is called MODEL_PLACEHOLDER_M16


class Generation(Struct):
    """`counters` is empty where the row says nothing of its usage (yet)."""

    index: int
    counters: dict[str, int] = {}
    response_id: str | None = None
    at: int | None = None
    model: str | None = None
    steps: list[int] = []
    retry: int = 0  # number of an attempt that was made before

    def identity(self, conversation: str) -> tuple[str | int, ...]:
        if self.response_id is not None:
            return conversation, self.response_id
        vector = (self.counters.get(one, self.counters.get(two, 0)) for one, two in _VECTOR)
        attempt = (self.retry,) if self.retry else ()
        return (conversation, self.index, *vector, *attempt)


_VECTOR = (("2", "inputTokens"), ("3", "outputTokens"), ("5", "cacheReadTokens"))


def of_row(index: int, data: bytes) -> Generation | None:
    """None for bytes that are no protobuf, or too much of it."""
    budget = Budget(MAX_FIELDS)
    try:
        root = protobuf.fields(data, budget)
    except ValueError:
        return None
    chat = protobuf.message(root, _CHAT_MODEL, budget) or {}
    usage = protobuf.message(chat, _USAGE, budget) or {}
    start = protobuf.message(chat, _START, budget) or {}
    created = protobuf.message(start, _CREATED, budget)
    model = _model(chat, usage, budget)
    if budget.left < 0:
        return None
    return Generation(
        index=index,
        counters=of_block(usage),
        response_id=text(protobuf.string(usage, _RESPONSE)),
        at=_time(created) if created is not None else None,
        model=model,
        steps=protobuf.packed(root, _STEPS),
    )


def of_sidecar(index: int, said: dict[str, Any]) -> list[Generation]:
    """The generation and the attempts before it, which were billed too."""
    chat = said.get("chatModel")
    if not isinstance(chat, dict):
        return [Generation(index)]
    start, retries = chat.get("chatStartMetadata"), chat.get("retryInfos")
    at = micros(start.get("createdAt")) if isinstance(start, dict) else None
    found = []
    for number, one in enumerate([chat, *(retries if isinstance(retries, list) else ())]):
        usage = one.get("usage") if isinstance(one, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        if number and not usage:
            continue
        model = text(chat.get("responseModelDisplayName")) or text(chat.get("responseModel")) or text(chat.get("model"))
        steps = said.get("stepIndices")
        found.append(
            Generation(
                index=index,
                counters=of_json(usage),
                response_id=text(usage.get("responseId")),
                at=at,
                model=model or text(usage.get("model")),
                steps=[n for n in steps if type(n) is int] if isinstance(steps, list) else [],
                retry=number,
            )
        )
    return found


def earliest_time(payload: bytes) -> int | None:
    """The earliest timestamp that a step's payload plausibly holds, at whatever place."""
    found: list[int] = []
    try:
        _collect(payload, Budget(MAX_STEP_FIELDS), _DEPTH, found)
    except ValueError:
        pass
    return min(found, default=None)


def _collect(data: bytes, budget: Budget, depth: int, found: list[int]) -> None:
    message = protobuf.fields(data, budget)
    if (at := _time(message)) is not None:
        found.append(at)
        return
    for value in (value for values in message.values() for value in values):
        if isinstance(value, bytes) and depth and len(value) > 4:
            try:
                _collect(value, budget, depth - 1, found)
            except ValueError:  # text, most likely
                if budget.left < 0:
                    raise


def _time(timestamp: Fields) -> int | None:
    """Seconds and nanoseconds, and nothing else."""
    seconds, nanos = protobuf.integer(timestamp, 1), protobuf.integer(timestamp, 2) or 0
    if seconds is None or not timestamp.keys() <= {1, 2}:
        return None
    if not _EARLIEST <= seconds < _LATEST or not 0 <= nanos < 10**9:
        return None
    return epoch(seconds * 10**9 + nanos, 10**9)


def _model(chat: Fields, usage: Fields, budget: Budget) -> str | None:
    """As it is shown, else as the server calls it, else its number."""
    shown = text(protobuf.string(chat, _DISPLAY)) or text(protobuf.string(chat, _SLUG))
    if shown is not None:
        return shown
    for entry in chat.get(_MAP, ()):
        pair = protobuf.message({_MAP: [entry]}, _MAP, budget) or {}
        if protobuf.string(pair, 1) == "model_enum":
            return text(protobuf.string(pair, 2))
    number = protobuf.integer(usage, _ENUM)
    if number is None:
        return None
    return f"MODEL_PLACEHOLDER_M{number - _FIRST_PLACEHOLDER}" if number >= _FIRST_PLACEHOLDER else f"MODEL_{number}"
