"""The wire format of protocol buffers without a schema: fields by number. Input is not trusted."""

from msgspec import Struct

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Value = int | bytes
Fields = dict[int, list[Value]]


class Budget(Struct):
    """Fields that may still be read: nesting and repetition cost work, whatever they hold."""

    left: int

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("more fields than expected")


def fields(data: bytes, budget: Budget) -> Fields:
    """All fields of one message. Raises ValueError for what is none."""
    found: Fields = {}
    at = 0
    while at < len(data):
        budget.take()
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value: Value
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32, BYTES):
            size, at = _varint(data, at) if kind == BYTES else (8 if kind == FIXED64 else 4, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("cut off")
        else:
            raise ValueError(f"wire type {kind}")
        if not number:
            raise ValueError("field 0")
        found.setdefault(number, []).append(value)
    return found


def message(of: Fields, number: int, budget: Budget) -> Fields | None:
    """The last with that number, as it is the one which counts; None where there is none, or it is no message."""
    data = last(of, number)
    if not isinstance(data, bytes):
        return None
    try:
        return fields(data, budget)
    except ValueError:
        return None


def last(of: Fields, number: int) -> Value | None:
    values = of.get(number)
    return values[-1] if values else None


def integer(of: Fields, number: int) -> int | None:
    value = last(of, number)
    return value if isinstance(value, int) else None


def string(of: Fields, number: int) -> str | None:
    value = last(of, number)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None


def packed(of: Fields, number: int) -> list[int]:
    """Repeated integers, in one piece or each by itself."""
    found: list[int] = []
    for value in of.get(number, ()):
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            try:
                one, at = _varint(value, at)
            except ValueError:
                break
            found.append(one)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("no varint")
