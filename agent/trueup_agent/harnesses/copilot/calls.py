"""Requests that newer logs tell of themselves (`model.model_call_success`, recorded in 1.0.91), one by one.

These are the ones that the client makes beside the conversation: titles, the choice of a model. Those of the
conversation are in the database and in the shutdowns, which tell of everything and so count before these.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trueup_agent.harnesses import genai, values
from trueup_shared.keys import key

REMEMBERED = 8  # an answer follows its request soon, if at all

_DETAILS: dict[str, tuple[str, ...]] = {
    "prompt_tokens_details": ("cached_tokens", "cache_creation_tokens"),
    "completion_tokens_details": ("reasoning_tokens",),
}


class Call(NamedTuple):
    """`raw`: what it used, in the producer's words, on one level. `name`: of the request. `money`: of an event."""

    name: str | None
    model: str | None
    raw: dict[str, int]
    money: dict[str, Any]


def read(call: Any, usage: Any, billed: Any) -> Call | None:
    """None: the event tells of no request."""
    if not isinstance(call, Mapping) and not isinstance(usage, Mapping):
        return None
    call, usage = (part if isinstance(part, Mapping) else {} for part in (call, usage))
    parts = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
    for level, names in _DETAILS.items():
        details = usage.get(level)
        parts |= {name: details.get(name) for name in names} if isinstance(details, Mapping) else {}
    return Call(
        name_of(call.get("api_id")),
        values.text(call.get("model")),
        {name: number for name, part in parts.items() if (number := values.counter(part)) is not None},
        genai.ai_units(values.counter(billed.get("total_nano_aiu")) if isinstance(billed, Mapping) else None),
    )


def name_of(api_id: Any) -> str | None:
    """The API's own names are some hundred characters long."""
    name = values.text(api_id, 4096)
    return None if name is None else key("call", name).hex()
