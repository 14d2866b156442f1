"""JSON as programs leave it on disk: half-written, glued together, with half of a surrogate pair, of any shape."""

import json
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Files, Unfinished
from trueup_agent.harnesses.lines import UNREADABLE as UNREADABLE
from trueup_agent.harnesses.lines import check_size

_PADDING = " \t\r\n\x00\ufeff"  # a crash leaves runs of NUL; some editors a byte order mark
_decode_any = msgspec.json.Decoder().decode
_lenient = json.JSONDecoder(strict=False)


def _decode(raw: bytes | memoryview) -> Any:
    check_size(raw)
    return _decode_any(raw)


def decode(raw: bytes | memoryview) -> Any:
    """One value. Text that was cut inside a character is repaired. Raises what UNREADABLE names."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _lenient.decode(_text(raw))


def value_of(value: Any) -> Any:
    """What JSON says that a database or a ledger holds, as text or bytes; None for whatever is no JSON."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    try:
        return decode(value)
    except (TypeError, *UNREADABLE):
        return None


def object_of(value: Any) -> dict[str, Any] | None:
    """`value_of` where that is an object, else None."""
    said = value_of(value)
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


def read_document(files: Files, path: Path) -> Any:
    """`decode_document` of a file; None for what is no JSON. Raises FileNotFoundError where it is gone."""
    content = files.read(path)
    if content is None:
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        return decode_document(content)
    except UNREADABLE:
        return None


# Looking into what was decoded: what is missing or of another type than it should be is empty.


def object_at(value: Any, *names: str) -> dict[str, Any]:
    """The object that `value` is, or to which these names lead from it."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """Those entries of a list that are objects."""
    return [entry for entry in list_of(value) if isinstance(entry, dict)]


def _text(raw: bytes | memoryview) -> str:
    return bytes(raw).decode("utf-8", "replace").strip(_PADDING)
