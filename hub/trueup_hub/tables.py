"""Answers as CSV (RFC 4180): one line for each item of a list, then what the answer says beside the list as comments.

The columns are those of the items' type, whatever the data: `totals` without a prefix, coverage as
`<counter>_reported`, `<counter>_lower_bound`, `<counter>_derived`, other records with their name before each field;
lists of records are left to JSON, but for flags, whose names are a list. A list is one cell, separated by commas as
filters take it. Unknown is empty, which 0 never is. A text that a spreadsheet would run is led by an apostrophe (one
that begins with an apostrophe by another), so that whoever takes one apostrophe off has what JSON says.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct

from trueup_hub.analytics.totals import COVERED, Coverage
from trueup_hub.reports import Flag
from trueup_shared.terminal import printable

_ROWS_AT_ONCE = 250  # other requests get on meanwhile
_LEADS = tuple("=+-@\t\r\n＝＋－＠'")  # OWASP on CSV injection; the full-width ones are read as the others
_QUOTED = frozenset(',"\r\n#')  # '#': so that no line of data looks like a comment
_BESIDE = ("from", "to", "timezone", "counted", "trust")

_Path = tuple[str, ...]  # of fields and keys, from an item to the value of a column


async def csv_text(reply: Struct, items: Iterable[Struct] | None = None, kind: type[Struct] | None = None) -> str:
    """`items` (of type `kind`) of `reply`, then every other field of it as `# name: value`. Without items the reply is
    one line itself."""
    beside = _beside(reply)
    if items is None or kind is None:
        items, kind = [reply], type(reply)
        beside = {name: value for name, value in beside.items() if name.partition(".")[0] in _BESIDE}
    columns = {name: path for name, path in columns_of(kind).items() if items != [reply] or path[0] not in _BESIDE}
    lines = [",".join(columns)]
    for n, item in enumerate(items, 1):
        lines.append(",".join([_cell(_value(item, path)) for path in columns.values()]))
        if n % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    lines += [printable(f"# {name}: {_plain(value)}".rstrip()) for name, value in beside.items()]
    return "\r\n".join([*lines, ""])


@cache
def columns_of(kind: type[Struct]) -> dict[str, _Path]:
    """Columns of a type of items, in the order of its fields."""
    columns: dict[str, _Path] = {}
    for field in msgspec.structs.fields(kind):
        bare = _without_none(field.type)
        path = (field.name,)
        if bare == dict[str, Coverage]:
            columns |= _coverage_columns(path, "events" in columns)
        elif isinstance(bare, type) and issubclass(bare, Struct):
            prefix = "" if field.name in ("totals", "coverage") else f"{field.encode_name}_"
            columns |= {f"{prefix}{name}": (*path, *rest) for name, rest in columns_of(bare).items()}
        elif not _of_records(bare):
            columns[field.encode_name] = path
    return columns


def _coverage_columns(path: _Path, events_known: bool) -> dict[str, _Path]:
    columns = {} if events_known else {"events": (*path, COVERED[0], "events")}
    for counter in COVERED:
        columns |= {f"{counter}_{part}": (*path, counter, part) for part in ("reported", "lower_bound", "derived")}
    return columns


def _without_none(kind: Any) -> Any:
    others = [arg for arg in get_args(kind) if arg is not type(None)]
    return others[0] if type(None) in get_args(kind) and len(others) == 1 else kind


def _of_records(kind: Any) -> bool:
    args = get_args(kind)
    record = get_origin(kind) is list and isinstance(args[0], type) and issubclass(args[0], Struct)
    return record and args[0] is not Flag


def _value(item: Any, path: _Path) -> Any:
    for step in path:
        if item is None:
            return None
        item = item[step] if isinstance(item, dict) else getattr(item, step)
    return item


def _beside(reply: Struct) -> dict[str, Any]:
    """What an answer says beside its lists, by dotted name."""
    lists: dict[str, list[Any]] = {
        name: [] for name in reply.__struct_fields__ if isinstance(getattr(reply, name), list)
    }
    found: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for part, inner in value.items():
                add(f"{name}.{part}" if name else part, inner)
        elif not isinstance(value, list):
            found[name] = value

    add("", msgspec.to_builtins(msgspec.structs.replace(reply, **lists)))
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is int:  # most of them
        return str(value)
    text = _plain(value)
    if isinstance(value, str | list | dict) and text.lstrip(" ").startswith(_LEADS):
        text = f"'{text}"
    return _quoted(text) if _QUOTED.intersection(text) or text != text.strip() else text


def _plain(value: Any) -> str:
    """As JSON has it, but for quotes; numbers are recognised by their type, not by how they look."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return _list([f"{name}:{inner}" for name, inner in value.items()])
    if isinstance(value, Sequence):
        return _list([one.flag if isinstance(one, Flag) else str(one) for one in value])
    return str(msgspec.to_builtins(value))


def _list(values: list[str]) -> str:
    return ",".join(_quoted(one) if _QUOTED.intersection(one) else one for one in values)


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
