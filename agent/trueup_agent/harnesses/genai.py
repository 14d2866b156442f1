"""Spans and log records of OpenTelemetry's GenAI conventions, as Copilot's runtimes write them.

The attributes' meaning is from the source of Copilot Chat: `gen_ai.usage.input_tokens` is the whole prompt, and the
attributes of its cached parts are left out where they are zero.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import divide

Attributes = Mapping[str, Any]

INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
CACHE_READ = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")
CACHE_WRITE = ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens")
OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
REASONING = (
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_output_tokens",
)
NANO_AIU = ("github.copilot.nano_aiu", "copilot_chat.copilot_usage_nano_aiu")
PROVIDER = "gen_ai.provider.name"
# What is kept of a span: whatever a counter is read from.
USAGE = (*INPUT, *CACHE_READ, *CACHE_WRITE, *OUTPUT, *REASONING, *NANO_AIU, PROVIDER)

OPERATION = "gen_ai.operation.name"
CONVERSATION = "gen_ai.conversation.id"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
REQUEST_MODEL = "gen_ai.request.model"

_NANO, _LEAST = 10**9, Decimal("1e-18")
_REPORTS_CACHE = "github"  # always says what was read from the cache, so an attribute left out is a zero


def usage(attributes: Attributes) -> Usage:
    """Counters of one call. A prompt without its cached part is undivided, if its provider may not report that."""
    read = number(attributes, CACHE_READ)
    prompt = number(attributes, INPUT)
    if read is None and prompt is not None and attributes.get(PROVIDER) == _REPORTS_CACHE:
        read = 0
    return divide(
        prompt, read, number(attributes, CACHE_WRITE), number(attributes, OUTPUT), number(attributes, REASONING)
    )


def number(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    for name in names:
        if (found := integer(attributes.get(name))) is not None:
            return found
    return None


def integer(value: Any) -> int | None:
    """Some exporters write every attribute as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return values.counter(value)


def ai_units(nano: float | None) -> dict[str, Any]:
    """Fields of an event that cost so many billionths of an AI unit; whole units, as the wire takes nine digits."""
    if nano is None or not 0 <= nano < values.MAX_AMOUNT * _NANO:
        return {}
    units = format((Decimal(str(nano)) / _NANO).quantize(_LEAST).normalize(), "f")
    return {"reported_cost": units, "reported_cost_unit": "aiu", "reported_cost_status": "reported"}


def kept(attributes: Attributes) -> dict[str, Any]:
    found: dict[str, Any] = {name: n for name in USAGE if (n := integer(attributes.get(name))) is not None}
    provider = values.text(attributes.get(PROVIDER), 64)
    return found if provider is None else found | {PROVIDER: provider}


def attributes_of(listed: Any) -> Attributes:
    """Attributes as a plain object, or as OTLP's list of keys with typed values."""
    if isinstance(listed, Mapping):
        return listed
    found: dict[str, Any] = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("key"), str) and isinstance(entry.get("value"), Mapping):
            found[entry["key"]] = next(iter(entry["value"].values()), None)
    return found


def spans_of_batch(batch: Any) -> Iterator[tuple[Attributes, Mapping[str, Any]]]:
    """(attributes of the resource, span) of an OTLP batch: {"resourceSpans": [{resource, scopeSpans: [{spans}]}]}."""
    for of_resource in _objects(batch.get("resourceSpans")):
        resource = of_resource.get("resource")
        about = attributes_of(resource.get("attributes") if isinstance(resource, Mapping) else None)
        for scope in _objects(of_resource.get("scopeSpans")):
            for span in _objects(scope.get("spans")):
                yield about, span


def span_time(span: Mapping[str, Any], name: str) -> int | None:
    """`startTime` or `endTime` of a span: [seconds, nanoseconds] in a file export, `…UnixNano` in OTLP."""
    if (at := values.epoch(span.get(f"{name}UnixNano"), 10**9)) is not None:
        return at
    pair = span.get(name)
    if isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int and type(pair[1]) is int:
        return values.epoch(pair[0] * 10**9 + pair[1], 10**9)
    return values.micros(pair)


def _objects(listed: Any) -> Iterator[Mapping[str, Any]]:
    yield from (entry for entry in listed if isinstance(entry, Mapping)) if isinstance(listed, list) else ()
