"""Chats as VS Code stores them: a document, or a journal of changes to one that is replayed.

Only what SHAPE names is built, so that neither images nor tool output cost memory. Of texts the size is kept.
Evidence for the journal: the source of VS Code (chat session store).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from trueup_agent.harnesses.base import MALFORMED, count_unknown, skip
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.records import Parsed

KEEP, SIZE = "keep", "size"
# {name: shape} is an object, [shape] a list.
Shape = Any
REQUEST: Shape = {
    "requestId": KEEP,
    "timestamp": KEEP,
    "modelId": KEEP,
    "isCanceled": KEEP,
    "message": {"text": SIZE},
    "response": [{"kind": KEEP, "toolId": KEEP, "toolCallId": KEEP, "value": SIZE}],
    "result": {
        "metadata": {
            "promptTokens": KEEP,
            "outputTokens": KEEP,
            "resolvedModel": KEEP,
            "sessionId": KEEP,
            "toolCallRounds": [{"toolCalls": [{}]}],
        }
    },
}
SHAPE: Shape = {"sessionId": KEEP, "creationDate": KEEP, "customTitle": KEEP, "requests": [REQUEST]}

_MAX_GAPS = 10_000  # places of lists that were left empty, in a whole journal: more is none
_INITIAL, _SET, _PUSH, _DELETE = range(4)


class Entry(Struct):
    kind: Any = None
    k: Any = None
    v: Raw = Raw()
    i: Any = None


_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_any = msgspec.json.Decoder().decode


def _type_of(shape: Shape) -> Any:
    if isinstance(shape, list):
        return list[_type_of(shape[0])]  # type: ignore[misc]
    if isinstance(shape, dict):
        fields = [(name, _type_of(inner), msgspec.UNSET) for name, inner in shape.items()]
        return msgspec.defstruct("Part", [(name, kind | msgspec.UnsetType, unset) for name, kind, unset in fields])
    return object | None


def pruned(value: Any, shape: Shape) -> Any:
    """The part of a decoded value that the shape names; None where it is of another type."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return None
        return {name: pruned(value[name], inner) for name, inner in shape.items() if name in value}
    if isinstance(shape, list):
        return [pruned(item, shape[0]) for item in value] if isinstance(value, list) else None
    if shape == SIZE:
        return len(value) if isinstance(value, str) else None
    return value if isinstance(value, str | int | float | None) else None


class Decoders:
    """Typed decoders by shape: what they do not name is skipped without being built."""

    def __init__(self) -> None:
        self._by_shape: dict[int, Any] = {}

    def decode(self, raw: Any, shape: Shape) -> Any:
        """May raise what UNREADABLE names."""
        if id(shape) not in self._by_shape:
            self._by_shape[id(shape)] = msgspec.json.Decoder(_type_of(shape)).decode
        try:
            value = msgspec.to_builtins(self._by_shape[id(shape)](raw))
        except msgspec.ValidationError:
            value = _decode_any(raw)  # something in it is of another type than it should be
        return pruned(value, shape)


DECODERS = Decoders()


class Chat:
    """The state that a journal leads to, and requests that it no longer shows: they were made."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._dropped: dict[str, dict[str, Any]] = {}
        self._gaps = 0

    def requests(self) -> Iterator[dict[str, Any]]:
        shown = [request for request in self.state.get("requests") or () if isinstance(request, dict)]
        yield from shown
        ids = {request.get("requestId") for request in shown}
        yield from (request for id_, request in self._dropped.items() if id_ not in ids)

    def line(self, line: memoryview | bytes, parsed: Parsed) -> None:
        try:
            entry = _decode_entry(line)
            if entry.kind == _INITIAL:
                self._drop(self.state.get("requests"))
                self.state = DECODERS.decode(entry.v, SHAPE) or {}
            elif entry.kind in (_SET, _PUSH, _DELETE) and isinstance(entry.k, list) and entry.k:
                self._change(entry)
            elif isinstance(entry.kind, int) and entry.kind > _DELETE:
                count_unknown(parsed, f"kind {entry.kind}")
            else:
                skip(parsed, MALFORMED)
        except (*UNREADABLE, LookupError, TypeError):
            skip(parsed, MALFORMED)

    def _change(self, entry: Entry) -> None:
        """Raises LookupError or TypeError for a path that leads nowhere; does nothing for what is not kept."""
        shape: Shape = SHAPE
        container: Any = self.state
        for step, following in zip(entry.k, [*entry.k[1:], None], strict=True):
            shape = _inner(shape, step)
            if shape is None:
                return
            if following is None:
                break
            inner = _get(container, step)
            if inner is None:
                inner = [] if isinstance(shape, list) else {}
                self._put(container, step, inner)
            container = inner
        last = entry.k[-1]
        if entry.kind == _PUSH:
            self._push(container, last, shape, entry)
            return
        old = _get(container, last)
        if entry.k == ["requests"]:
            self._drop(old)
        elif shape is REQUEST:
            self._drop([old])
        self._put(container, last, None if entry.kind == _DELETE else DECODERS.decode(entry.v, shape))

    def _push(self, container: Any, last: Any, shape: Shape, entry: Entry) -> None:
        if not isinstance(shape, list):
            raise TypeError
        listed = _get(container, last)
        if not isinstance(listed, list):
            listed = []
            self._put(container, last, listed)
        if type(entry.i) is int and entry.i >= 0:
            if shape[0] is REQUEST:
                self._drop(listed[entry.i :])
            del listed[entry.i :]
        if len(memoryview(entry.v)):
            listed.extend(DECODERS.decode(entry.v, shape) or ())

    def _put(self, container: Any, step: Any, value: Any) -> None:
        if isinstance(container, dict):
            container[step] = value
            return
        gap = max(0, step - len(container))
        if self._gaps + gap > _MAX_GAPS:
            raise LookupError
        self._gaps += gap
        container.extend([None] * (step + 1 - len(container)))
        container[step] = value

    def _drop(self, requests: Any) -> None:
        for request in requests if isinstance(requests, list) else ():
            if isinstance(request, dict) and isinstance(request.get("requestId"), str):
                self._dropped[request["requestId"]] = request


def _inner(shape: Shape, step: Any) -> Shape | None:
    if isinstance(shape, dict) and isinstance(step, str):
        return shape.get(step)
    return shape[0] if isinstance(shape, list) and type(step) is int else None


def _get(container: Any, step: Any) -> Any:
    if isinstance(container, dict):
        return container.get(step)
    if isinstance(container, list) and step >= 0:
        return container[step] if step < len(container) else None
    raise TypeError
