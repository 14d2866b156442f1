"""The readable page: the OpenAPI document as HTML, for people with or without JavaScript. Nothing of other sites."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from typing import Any

import msgspec

from trueup_hub.openapi.document import document
from trueup_hub.openapi.schemas import REF, Schema
from trueup_hub.params import COMMON
from trueup_hub.route import Route

_COMMON = {parameter.name for parameter in COMMON}
_RIGHTS = {
    "viewer": "Viewers and administrators.",
    "admin": "Administrators.",
    "credential": "Hosts.",
    "nobody": "Everybody, without credentials.",
    "anybody": "Viewers, administrators and hosts.",
}


@cache
def page(routes: tuple[Route, ...]) -> str:
    told = document(routes)
    operations = [
        (operation["tags"][0], method.upper(), path, operation)
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    ]
    by_tag = [(tag, [one[1:] for one in operations if one[0] == tag["name"]]) for tag in told["tags"]]
    types = told["components"]["schemas"]
    return "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>API · trueup</title>\n',
            '<link rel="stylesheet" href="docs.css">\n<link rel="icon" href="../favicon.svg">\n</head>\n<body>\n',
            '<a class="skip" href="#routes">Skip to the routes</a>\n',
            f"<header><h1>trueup: the API</h1>{_text(told['info']['description'])}",
            f"<p>Release {escape(told['info']['version'])}. ",
            'For programs: <a href="openapi.json">OpenAPI 3.1</a>.</p></header>\n',
            '<nav aria-label="Contents">',
            *(_contents(tag["name"], [(o["operationId"], f"{m} {_short(p)}") for m, p, o in of]) for tag, of in by_tag),
            _contents("Types", [(f"type-{name}", name) for name in types]),
            '</nav>\n<main id="routes">\n',
            *(_section(tag, of) for tag, of in by_tag),
            '<section aria-labelledby="types"><h2 id="types">Types</h2>',
            *(_type(name, schema) for name, schema in types.items()),
            "</section>\n</main>\n</body>\n</html>\n",
        )
    )


def _contents(title: str, links: Iterable[tuple[str, str]]) -> str:
    items = "".join(f'<li><a href="#{name}"><code>{escape(text)}</code></a></li>' for name, text in links)
    return f"<details open><summary>{escape(title)}</summary><ul>{items}</ul></details>"


def _short(path: str) -> str:
    return path.removeprefix("/api/v1")


def _section(tag: dict[str, str], operations: Iterable[tuple[str, str, dict[str, Any]]]) -> str:
    name = f"tag-{tag['name'].lower().replace(' ', '-')}"
    articles = "".join(_operation(*one) for one in operations)
    title = f'<h2 id="{name}">{escape(tag["name"])}</h2>'
    return f'<section aria-labelledby="{name}">{title}{_text(tag["description"])}{articles}</section>\n'


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    name = operation["operationId"]
    return "".join(
        (
            f'<article id="{name}" aria-labelledby="{name}-title">',
            f'<h3 id="{name}-title"><span class="method">{method}</span> <code>{escape(path)}</code></h3>',
            _text(operation["summary"] + ". " + operation.get("description", "")),
            f'<p class="rights">For: {_RIGHTS[_rights(operation["security"])]}</p>',
            _parameters(operation["parameters"]),
            _body(operation.get("requestBody")),
            *_answers(operation["responses"]),
            _errors(operation["responses"]),
            *_examples(operation),
            "</article>\n",
        )
    )


def _rights(security: list[dict[str, list[str]]]) -> str:
    if not security:
        return "nobody"
    if "credential" in security[-1]:
        return "credential" if len(security) == 1 else "anybody"
    return security[0]["token"][0]


def _parameters(parameters: list[dict[str, Any]]) -> str:
    own = [_parameter(one) for one in parameters if one["name"] not in _COMMON]
    common = [_parameter(one) for one in parameters if one["name"] in _COMMON]
    found = f'<h4>Parameters</h4><dl class="fields">{"".join(own)}</dl>' if own else ""
    if common:
        title = "Range, filters and what counts: the same for every route of analytics"
        found += f'<details><summary>{title}</summary><dl class="fields">{"".join(common)}</dl></details>'
    return found


def _parameter(one: dict[str, Any]) -> str:
    schema = one["schema"]
    notes = [f"Default: <code>{escape(str(schema['default']))}</code>." if "default" in schema else ""]
    notes += ["In the path." if one["in"] == "path" else "Needed." if one["required"] else ""]
    return _field(one["name"], schema, f"{one['description']} {schema.get('description', '')}", notes)


def _body(body: dict[str, Any] | None) -> str:
    if body is None:
        return ""
    schema = body["content"]["application/json"]["schema"]
    kinds = " or ".join(f"<code>{escape(kind)}</code>" for kind in body["content"])
    needed = "" if body["required"] else " It may be left out."
    return f"<h4>Body</h4><p>{_kind(schema)}, as {kinds}.{needed}</p>"


def _answers(responses: dict[str, Any]) -> Iterator[str]:
    yield "<h4>Answer</h4><ul>"
    for status, answer in responses.items():
        if status < "400":
            kinds = "; ".join(
                f"<code>{escape(kind)}</code>" + (f": {_kind(about['schema'])}" if "schema" in about else "")
                for kind, about in answer.get("content", {}).items()
            )
            yield f"<li><strong>{status}</strong> {_marked(answer['description'])}{f'. {kinds}' if kinds else ''}</li>"
    yield "</ul>"


def _errors(responses: dict[str, Any]) -> str:
    refused = {status: answer["description"] for status, answer in responses.items() if status >= "400"}
    items = "".join(
        f"<dt>{status}</dt><dd><ul>{''.join(f'<li>{_marked(line[2:])}</li>' for line in text.splitlines())}</ul></dd>"
        for status, text in refused.items()
    )
    return f'<details><summary>Errors</summary><dl class="errors">{items}</dl></details>'


def _examples(operation: dict[str, Any]) -> Iterator[str]:
    answers = {
        example["summary"]: (status, kind, example["value"])
        for status, answer in operation["responses"].items()
        for kind, about in answer.get("content", {}).items()
        for example in about.get("examples", {}).values()
    }
    for sample in operation.get("x-codeSamples", []):
        label = escape(sample["label"])
        yield f'<h4>Example: {label}</h4><pre class="request" tabindex="0" role="region" aria-label="Request: {label}">'
        yield f"<code>{escape(sample['source'])}</code></pre>"
        if sample["label"] in answers:
            status, kind, value = answers[sample["label"]]
            text = value if isinstance(value, str) else _pretty(value)
            yield f"<details><summary>Its answer: {status}, <code>{escape(kind)}</code></summary>"
            yield f'<pre tabindex="0" role="region" aria-label="Answer: {label}">'
            yield f"<code>{escape(text)}</code></pre></details>"


def _pretty(value: Any) -> str:
    """Indented; a record or list that fits into a line stays there."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    small = re.compile(r"[\[{]\n\s*([^\[\]{}]*?)\n\s*([\]}])")
    return small.sub(lambda m: _joined(m) if len(m[0]) <= 160 else m[0], text)


def _joined(found: re.Match[str]) -> str:
    return found[0][0] + " ".join(found[1].split()) + found[2]


def _type(name: str, schema: Schema) -> str:
    fields = "".join(
        _field(field, about, about.get("description", "")) for field, about in schema.get("properties", {}).items()
    )
    shape = f'<dl class="fields">{fields}</dl>' if fields else f"<p>{_kind(schema)}</p>"
    title = f'<h3 id="type-{name}-title"><code>{name}</code></h3>'
    described = _text(schema.get("description", ""))
    return f'<article id="type-{name}" aria-labelledby="type-{name}-title">{title}{described}{shape}</article>\n'


def _field(name: str, schema: Schema, says: str, notes: Iterable[str] = ()) -> str:
    told = " ".join(filter(None, (_marked(says.strip()), *notes)))
    return f'<dt><code>{escape(name)}</code> <span class="kind">{_kind(schema)}</span></dt><dd>{told}</dd>'


def _kind(schema: Schema) -> str:
    """What a value may be, in words, with links to types."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF)
        return f'<a href="#type-{name}">{name}</a>'
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(filter(None, map(_kind, schema["anyOf"])))
    if "prefixItems" in schema:
        return f"[{', '.join(map(_kind, schema['prefixItems']))}]"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object":
        return f"map to {_kind(schema['additionalProperties'])}" if schema.get("additionalProperties") else "object"
    words = [schema.get("format") or schema.get("contentEncoding") or schema.get("type") or ""]
    if "pattern" in schema:
        words.append(f"<code>{escape(schema['pattern'])}</code>")
    if "maximum" in schema:
        words.append(f"{schema.get('minimum', '')} … {schema['maximum']}")
    return " ".join(filter(None, words))


def _text(text: str) -> str:
    return "".join(f"<p>{_marked(part)}</p>" for part in text.split("\n\n") if part.strip())


def _marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
