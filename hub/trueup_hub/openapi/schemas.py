"""JSON Schema of the types that travel, with what the code says of each field: the comment beside it.

msgspec makes the schemas. It knows no comments, gives times of unstated zone no format, and lists fields with a default
as optional, which in an answer they are not.
"""

import ast
import inspect
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.inspect import (
    DateTimeType,
    DictType,
    Field,
    ListType,
    Metadata,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from trueup_shared import wire

REF = "#/components/schemas/"
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_SIXTEEN_BYTES = "^[A-Za-z0-9+/]{21}[AQgw]==$"  # the only fixed length that there is
_ROWS = {
    "sessions": wire.SessionRow,
    "messages": wire.MessageRow,
    "events": wire.EventRow,
    "tombstones": wire.Tombstone,
}

Schema = dict[str, Any]


def components(answers: Iterable[Any], sent: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each type, and of each record that they refer to, by its name. `sent`: types of request bodies."""
    answers, sent = list(answers), list(sent)
    everything = [*answers, *sent, *_ROWS.values()]
    schemas, named = msgspec.json.schema_components(everything, ref_template=REF + "{name}")
    optional = {cls for kind in (*sent, *_ROWS.values()) for cls in _records(type_info(kind))}
    for cls in {cls for kind in everything for cls in _records(type_info(kind))}:
        _complete(named[cls.__name__], cls, required=cls not in optional)
    for name, row in _ROWS.items():
        # A row that is none is rejected by itself, so the schema lets anything pass.
        named["Batch"]["properties"][name]["items"] = {"anyOf": [{"$ref": REF + row.__name__}, {}]}
    return dict(zip(everything, map(_portable, schemas), strict=True)), {
        name: _portable(named[name]) for name in sorted(named)
    }


def _records(info: Type, seen: set[type[Struct]] | None = None) -> set[type[Struct]]:
    """Every Struct that values of the type may hold."""
    seen = set() if seen is None else seen
    if isinstance(info, StructType):
        if info.cls not in seen:
            seen.add(info.cls)
            for field in info.fields:
                _records(field.type, seen)
    else:
        for inner in _inner(info):
            _records(inner, seen)
    return seen


def _inner(info: Type) -> Iterator[Type]:
    if isinstance(info, Metadata):
        yield info.type
    elif isinstance(info, UnionType):
        yield from info.types
    elif isinstance(info, ListType | VarTupleType):
        yield info.item_type
    elif isinstance(info, TupleType):
        yield from info.item_types
    elif isinstance(info, DictType):
        yield info.key_type
        yield info.value_type


def _complete(schema: Schema, cls: type[Struct], *, required: bool) -> None:
    if "properties" not in schema:
        return  # an array: its fields are told by its docstring
    info = type_info(cls)
    assert isinstance(info, StructType)
    comments = {name: text for base in reversed(cls.__mro__) for name, text in _comments(base).items()}
    for field in info.fields:
        about = schema["properties"][field.encode_name]
        if any(isinstance(one, DateTimeType) for one in (field.type, *_inner(field.type))):
            (about["anyOf"][0] if "anyOf" in about else about)["format"] = "date-time"
        if comment := comments.get(field.name):
            about["description"] = comment
        if required:
            about.pop("default", None)
    if required and not cls.__struct_config__.omit_defaults:
        schema["required"] = [field.encode_name for field in info.fields if not _may_be_unset(field)]


def _may_be_unset(field: Field) -> bool:
    return not field.required and field.default is NODEFAULT and field.default_factory is NODEFAULT


def _comments(cls: type) -> dict[str, str]:
    return _comments_of_module(cls.__module__).get(cls.__qualname__, {})


@cache
def _comments_of_module(name: str) -> dict[str, dict[str, str]]:
    """By class and field, the comment that ends the field's line. Empty where the source is not there."""
    try:
        source = inspect.getsource(sys.modules[name])
    except (OSError, TypeError):
        return {}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {
        node.name: {
            field.target.id: comments[field.end_lineno]
            for field in node.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.end_lineno in comments
        }
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def _portable(schema: Any) -> Any:
    r"""Patterns as JavaScript reads them: `\Z` is Python's; docstrings without the line breaks of the source."""
    if isinstance(schema, list):
        return [_portable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("contentEncoding") == "base64":
        fixed = schema.pop("minLength", None) == schema.pop("maxLength", "")
        schema["pattern"] = _SIXTEEN_BYTES if fixed else _BASE64
    several = schema.get("prefixItems")
    if several and all(one == several[0] for one in several):  # simpler to read, for people and programs
        schema = {key: value for key, value in schema.items() if key != "prefixItems"} | {"items": several[0]}
    return {key: _rewritten(key, value) for key, value in schema.items()}


def _rewritten(key: str, value: Any) -> Any:
    if key == "pattern" and isinstance(value, str):
        return value.replace(r"\Z", "$")
    if key == "description" and isinstance(value, str):
        return paragraphs(value)
    return _portable(value)


def paragraphs(text: str) -> str:
    """A docstring with a line for each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
