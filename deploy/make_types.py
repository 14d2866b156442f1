"""Writes the types.ts of the dashboard from the OpenAPI document (`make types`): what travels between people and hub.

Sixty lines of ours: openapi-typescript wants an older TypeScript than the dashboard has.
"""

import json
from pathlib import Path
from typing import Any

from trueup_hub.openapi.document import document
from trueup_hub.openapi.schemas import REF
from trueup_hub.routes import ROUTES

TARGET = Path(__file__).parents[1] / "hub/trueup_hub/dashboard/src/lib/types.ts"
HEAD = "// Generated from the API's OpenAPI document by `make types`: change the types of the hub instead.\n\n"


def types() -> str:
    told = document(ROUTES)
    schemas = told["components"]["schemas"]
    names: set[str] = set()
    for methods in told["paths"].values():
        for route in methods.values():
            if "Agents" not in route["tags"]:
                _collect(route, schemas, names)
    return HEAD + "\n".join(_interface(name, schemas[name]) for name in sorted(names))


def _collect(told: Any, schemas: dict[str, Any], names: set[str]) -> None:
    """Every type that is referred to, and those that they refer to."""
    if isinstance(told, list):
        for one in told:
            _collect(one, schemas, names)
    elif isinstance(told, dict):
        name = str(told.get("$ref", "")).removeprefix(REF)
        if name and name not in names:
            names.add(name)
            _collect(schemas[name], schemas, names)
        _collect(list(told.values()), schemas, names)


def _interface(name: str, schema: dict[str, Any]) -> str:
    fields = "".join(
        f"{_said(about, '  ')}  {field}{'' if field in schema.get('required', ()) else '?'}: {_type(about)};\n"
        for field, about in schema["properties"].items()
    )
    return f"{_said(schema, '')}export interface {name} {{\n{fields}}}\n"


def _said(schema: dict[str, Any], indent: str) -> str:
    text = schema.get("description", "")
    return f"{indent}/** {text.replace(chr(10) * 2, ' ')} */\n" if text else ""


def _type(schema: Any) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REF)
    if "enum" in schema:
        return " | ".join(json.dumps(one) for one in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "prefixItems" in schema:
        return f"[{', '.join(map(_type, schema['prefixItems']))}]"
    kind = schema.get("type")
    if kind == "array":
        inner = _type(schema["items"])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if kind == "object":
        return f"Record<string, {_type(schema.get('additionalProperties', {}))}>"
    return {"integer": "number", None: "unknown"}.get(kind, str(kind))


if __name__ == "__main__":
    TARGET.write_text(types(), encoding="utf-8")
