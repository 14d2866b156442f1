"""The OpenAPI document: every route of the API, out of what it declares."""

from collections.abc import Iterable, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, get_args

import msgspec

from trueup_hub.openapi import schemas
from trueup_hub.openapi.examples import Example, load
from trueup_hub.openapi.problems import CODES, Problem, codes_of
from trueup_hub.openapi.schemas import REF, Schema
from trueup_hub.params import FIRST_DAY, FORMAT, LABEL, LAST_DAY, Parameter
from trueup_hub.responses import PROBLEM_TYPE
from trueup_hub.route import Need, Route
from trueup_shared import __version__
from trueup_shared.wire import CONTENT_TYPE

JSON, CSV = "application/json", "text/csv"
ABOUT = """\
What AI coding agents used on every machine, and how far the numbers can be trusted.

Times are ISO 8601 in UTC, money is whole microdollars at list price, keys are hexadecimal. `null` is not reported, \
never 0. Every error is `application/problem+json` with a `code` that stays."""
# By the module of the handler, in the order of the page.
TAGS = {
    "analytics": ("Analytics", "What was used, by whom and when; how far the numbers can be trusted."),
    "hosts": ("Hosts", "Machines and their ledgers."),
    "live": ("Live", "What changes while one looks."),
    "about": ("About the API", "What this hub can be asked, for people and programs."),
    "docs": ("About the API", ""),
    "pages": ("Operation", "For probes and monitoring."),
    "metrics": ("Operation", ""),
    "auth": ("Sessions of browsers", "Logging in and out, and who one is."),
    "agents": ("Agents", "What agents send and ask."),
    "ledgers": ("Agents", ""),
}
_RIGHTS: dict[Need, list[dict[str, list[str]]]] = {
    "nobody": [],
    "viewer": [{"token": ["viewer"]}, {"session": ["viewer"]}],
    "admin": [{"token": ["admin"]}, {"session": ["admin"]}],
    "host": [{"credential": []}],
    "anybody": [{"token": ["viewer"]}, {"session": ["viewer"]}, {"credential": []}],
}
_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, of a viewer or an administrator: `trueup hub token create`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "trueup_8787",
        "description": "The cookie of a browser that is logged in; its name ends with the hub's port.",
    },
    "credential": {"type": "http", "scheme": "bearer", "description": "What a host got when it was enrolled."},
}
_HEADERS = {"X-Request-Id": {"description": "Names this request in the hub's log.", "schema": {"type": "string"}}}


def is_described(route: Route) -> bool:
    """All but the pages of the dashboard."""
    return route.takes is not None or route.answers is not None


@cache
def document(routes: tuple[Route, ...]) -> dict[str, Any]:
    """The same for as long as the process lives."""
    described = [route for route in routes if is_described(route)]
    types = [route.answers for route in described if not isinstance(route.answers, str | None)]
    sent = [_sent(route)[0] for route in described if route.sent is not None]
    schema_of, named = schemas.components([*types, Problem], sent)
    examples = load()
    paths: dict[str, Any] = {}
    for route in described:
        shown = [example for example in examples if example.operation == route.handler.__name__]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of, shown)
    used = {_tag(route)[0] for route in described}
    return {
        "openapi": "3.1.0",
        "info": {"title": "trueup", "version": __version__, "description": ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/", "description": "The hub that told this."}],
        "tags": [{"name": name, "description": doc} for name, doc in TAGS.values() if doc and name in used],
        "paths": paths,
        "components": {"schemas": named, "securitySchemes": _SCHEMES},
    }


def _tag(route: Route) -> tuple[str, str]:
    return TAGS[route.handler.__module__.rpartition(".")[2]]


def _operation(route: Route, schema_of: dict[Any, Schema], examples: Sequence[Example]) -> dict[str, Any]:
    summary, _, rest = schemas.paragraphs(route.handler.__doc__ or "").replace("\n\n", " ").partition(". ")
    found: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [_tag(route)[0]],
        "summary": summary.rstrip("."),
        **({"description": rest} if rest else {}),
        "security": _RIGHTS[route.need],
        "parameters": [
            *(_parameter(parameter, "path", examples) for parameter in route.in_path),
            *(_parameter(parameter, "query", examples) for parameter in route.takes or ()),
        ],
        "responses": _answers(route, schema_of, examples) | _errors(route, examples),
    }
    if route.sent is not None:
        kind, needed = _sent(route)
        content = {JSON: {"schema": schema_of[kind]}, CONTENT_TYPE: {}}
        bodies = {one.name: {"summary": one.says, "value": one.body} for one in examples if one.body is not None}
        if bodies:
            content[JSON]["examples"] = bodies
        found["requestBody"] = {"required": needed, "content": content}
    if examples:
        found["x-codeSamples"] = [{"lang": "shell", "label": one.says, "source": one.curl(route)} for one in examples]
    return found


def _sent(route: Route) -> tuple[Any, bool]:
    """The type of the body, and whether there must be one."""
    several = get_args(route.sent)
    return (several[0], False) if type(None) in several else (route.sent, True)


def _parameter(parameter: Parameter, place: str, examples: Iterable[Example]) -> dict[str, Any]:
    values = [one.asks[parameter.name] for one in examples if parameter.name in one.asks]
    return {
        "name": parameter.name,
        "in": place,
        "description": parameter.doc,
        "required": place == "path" or parameter.needed,
        "schema": schema_of_parameter(parameter),
        **({"example": [values[0]] if parameter.kind == "list" else values[0]} if values else {}),
    }


def schema_of_parameter(parameter: Parameter) -> Schema:
    """What its value may be. Lists are repeated; that commas separate them too is said in words."""
    schema: Schema
    if parameter.kind == "choice":
        schema = {"type": "string", "enum": list(parameter.choices)}
    elif parameter.kind == "dimension":
        schema = {"type": "string", "anyOf": [{"enum": list(parameter.choices)}, {"pattern": f"^{LABEL}.+$"}]}
    elif parameter.kind == "whole":
        schema = {"type": "integer", "minimum": parameter.lowest, "maximum": parameter.highest}
    elif parameter.kind == "day":
        schema = {"type": "string", "format": "date", "description": f"From {FIRST_DAY} to {LAST_DAY}."}
    elif parameter.kind == "list":
        item = {"type": "string", **({"pattern": "^[^:]+:"} if parameter.name == "label" else {})}
        schema = {"type": "array", "items": item, "description": "Repeated, or separated by commas as in CSV."}
    elif parameter.kind == "uuid":
        schema = {"type": "string", "format": "uuid"}
    elif parameter.kind == "key":
        schema = {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}
    else:
        schema = {"type": "string"}
    return schema if parameter.default is None else {**schema, "default": parameter.default}


def _answers(route: Route, schema_of: dict[Any, Schema], examples: Sequence[Example]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if isinstance(route.answers, str):
        for kind in route.answers.split(", "):
            content[kind] = {"schema": {"type": "object" if kind == JSON else "string"}}
    elif route.answers is not None:
        content[JSON] = {"schema": schema_of[route.answers]}
        if FORMAT in (route.takes or ()):
            content[CSV] = {"schema": {"type": "string"}}
        if _tag(route)[0] == "Agents":
            content[CONTENT_TYPE] = {}
    found: dict[str, Any] = {}
    for status in route.statuses:
        shown = {kind: about | _shown(status, kind, examples) for kind, about in content.items()}
        headers = _HEADERS | ({"ETag": {"schema": {"type": "string"}}} if route.etag else {})
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": headers,
            **({"content": shown} if shown else {}),
        }
    if route.etag:
        found["304"] = {"description": "What `If-None-Match` names is still so.", "headers": _HEADERS}
    return found


def _shown(status: int, media_type: str, examples: Iterable[Example]) -> dict[str, Any]:
    found = {
        one.name: {"summary": one.says, "value": one.answer}
        for one in examples
        if (one.status, one.media_type) == (status, media_type)
    }
    return {"examples": found} if found else {}


def _errors(route: Route, examples: Sequence[Example]) -> dict[str, Any]:
    return {
        str(status): {
            "description": "\n".join(f"- `{code}`: {CODES[code][1]}" for code in codes),
            "headers": _HEADERS,
            "content": {
                PROBLEM_TYPE: {
                    "schema": {"allOf": [{"$ref": f"{REF}Problem"}, {"properties": {"code": {"enum": codes}}}]},
                    **_shown(status, PROBLEM_TYPE, examples),
                }
            },
        }
        for status, codes in sorted(codes_of(route).items())
    }


@cache
def encoded(routes: tuple[Route, ...]) -> bytes:
    return msgspec.json.encode(document(routes))
