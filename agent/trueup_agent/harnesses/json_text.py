"""JSON as programs leave it on disk: half-written, glued together, with half of a surrogate pair."""

import json
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Unfinished
from trueup_agent.harnesses.lines import UNREADABLE as UNREADABLE

_PADDING = " \t\r\n\x00\ufeff"  # a crash leaves runs of NUL; some editors a byte order mark
_decode = msgspec.json.Decoder().decode
_lenient = json.JSONDecoder(strict=False)


def decode(raw: bytes | memoryview) -> Any:
    """One value. Text that was cut inside a character is repaired. Raises what UNREADABLE names."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _lenient.decode(_text(raw))


def object_of(value: Any) -> dict[str, Any] | None:
    """An object out of JSON as a database or a ledger holds it, text or bytes; None for whatever is none."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    try:
        said = decode(value)
    except (TypeError, *UNREADABLE):
        return None
    return said if isinstance(said, dict) else None


def decode_glued(raw: bytes | memoryview) -> list[Any]:
    """The values of a line: two writers at once leave several without a newline between them. Raises like decode."""
    try:
        return [_decode(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    text, position, found = _text(raw), 0, []
    while position < len(text):
        value, position = _lenient.raw_decode(text, position)
        found.append(value)
        while position < len(text) and text[position].isspace():
            position += 1
    return found


def decode_document(raw: bytes) -> Any:
    """A whole file. Raises Unfinished where it breaks off, else like decode."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = _text(raw)
    try:
        return _lenient.decode(text)
    except json.JSONDecodeError as error:
        if not text or (text[0] in "{[" and (text[-1] not in "}]" or error.pos >= len(text))):
            raise Unfinished("half-written JSON") from None
        raise


def _text(raw: bytes | memoryview) -> str:
    return bytes(raw).decode("utf-8", "replace").strip(_PADDING)
