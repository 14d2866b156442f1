"""Shapes of Claude Code's transcript lines, and how to get them out of a line whatever it holds.

The producer publishes no schema. A line that fits the shapes is decoded straight into them. Any other line (a field of
another type, two objects glued together, invalid UTF-8, NUL, lone surrogates) takes a slower path, which keeps every
field that is usable.
"""

import json
from collections.abc import Callable
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from trueup_agent.harnesses.base import MALFORMED

Part = TypeVar("Part", bound=Struct)


_ABSENT = Raw()
_NULLS = (_ABSENT, Raw(b"null"))


class Block(Struct, gc=False):
    """One block of a message's content. Only what is counted: no tool input, no image data, no signature."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    name: str | None = None
    id: str | None = None
    content: "str | list[Block] | None" = None


Content = str | list[Block] | None


class Usage(Struct, gc=False):
    """`message.usage`, and each entry of its `iterations`."""

    type: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation: "CacheCreation | None" = None
    server_tool_use: "ServerToolUse | None" = None
    service_tier: str | None = None
    speed: str | None = None
    iterations: "list[Usage] | None" = None


class CacheCreation(Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class ServerToolUse(Struct, gc=False):
    web_search_requests: int | None = None


class Message(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    content: Content = None
    stop_reason: str | None = None
    usage: Raw = _ABSENT


class Record(Struct, gc=False, rename="camel"):
    """One line of a transcript."""

    type: str | None = None
    subtype: str | None = None
    uuid: str | None = None
    session_id: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    request_id: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    is_api_error_message: bool | None = None
    prompt_source: str | None = None
    session_kind: str | None = None
    forked_from: Raw = _ABSENT
    cost_usd: float | None = msgspec.field(default=None, name="costUSD")
    message: Message | None = None
    content: Raw = _ABSENT
    data: Raw = _ABSENT
    attachment: Raw = _ABSENT
    summary: str | None = None
    ai_title: str | None = None
    custom_title: str | None = None


class Attachment(Struct, gc=False, rename="camel"):
    """The inner object of an `attachment` line."""

    type: str | None = None
    prompt: str | None = None
    command_mode: str | None = None


class Progress(Struct, gc=False, rename="camel"):
    """`data` of a `progress` line: a subagent's record as its parent heard of it."""

    agent_id: str | None = None
    message: Record | None = None


class ForkedFrom(Struct, gc=False, rename="camel"):
    session_id: str | None = None


decode_record: Callable[[bytes | memoryview], Record] = msgspec.json.Decoder(Record).decode

# What decoders raise for a line that they cannot read; all of msgspec's and UnicodeDecodeError are ValueErrors.
UNREADABLE = (ValueError, RecursionError)

_lenient = json.JSONDecoder(strict=False)
_PADDING = b" \t\r\n\x00\xef\xbb\xbf"  # a crash leaves runs of NUL; some editors a byte order mark


def salvage(line: bytes) -> tuple[list[tuple[Record, bytes]], str | None]:
    """Records of a line that `decode_record` refused, each with its text; and why something was skipped, if so."""
    text = line.strip(_PADDING).decode("utf-8", "replace")
    found: list[tuple[Record, bytes]] = []
    position = 0
    while position < len(text):
        try:
            value, end = _lenient.raw_decode(text, position)
            if not isinstance(value, dict):
                return found, "not_an_object"
            found.append((_fit(Record, value), text[position:end].encode("utf-8", "surrogatepass")))
        except RecursionError:
            return found, "too_deep"
        except ValueError:
            return found, MALFORMED
        position = end
        while position < len(text) and text[position].isspace():
            position += 1
    return found, None


def is_given(raw: Raw) -> bool:
    """Is there anything but null?"""
    return raw not in _NULLS


def read_part(raw: Raw, kind: type[Part]) -> Part | None:
    """An object that was kept raw inside a record; None when it is not one."""
    if not raw:
        return None
    try:
        part: Part = _decoder(kind)(raw)
        return part
    except UNREADABLE:
        pass
    try:
        value = json.loads(bytes(raw).decode("utf-8", "replace"), strict=False)
        return _fit(kind, value) if isinstance(value, dict) else None
    except UNREADABLE:
        return None


@cache
def _decoder(kind: type[Part]) -> Callable[[Raw], Part]:
    return msgspec.json.Decoder(kind).decode


def _fit(kind: type[Part], value: dict[str, Any]) -> Part:
    """The fields of `value` that `kind` has and that are of its type; the others stay absent."""
    return kind(**{name: read(value[key]) for key, name, read in _fields(kind) if key in value})


@cache
def _fields(kind: type[Struct]) -> list[tuple[str, str, Callable[[Any], Any]]]:
    return [(f.encode_name, f.name, _reader(f.type)) for f in msgspec.structs.fields(kind)]


def _reader(annotation: Any) -> Callable[[Any], Any]:
    if annotation is Raw:
        return _raw
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if len(kinds) > 1:
        return _content
    if get_origin(kinds[0]) is list:
        (item,) = get_args(kinds[0])
        return lambda value: [_fit(item, v) for v in value if isinstance(v, dict)] if isinstance(value, list) else None
    if kinds[0] in _SCALARS:
        return _SCALARS[kinds[0]]
    return lambda value: _fit(kinds[0], value) if isinstance(value, dict) else None


def _content(value: Any) -> Content:
    if not isinstance(value, list):
        return _text(value)
    return [
        _fit(Block, block) if isinstance(block, dict) else Block(type="text", text=block)
        for block in value
        if isinstance(block, dict | str)
    ]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


# Whether a number can be a counter is decided by values.counter, here as on the typed path.
_SCALARS: dict[type, Callable[[Any], Any]] = {str: _text, bool: _flag, int: _number, float: _number}
