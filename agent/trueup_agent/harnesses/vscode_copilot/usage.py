"""Counters of Copilot in editors. Raw usage is kept under the name of what it is: {"chat": {…}}, {"span": {…}}."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import contradicts
from trueup_agent.records import LEGS, EventRecord
from trueup_shared import keys
from trueup_shared.metrics import BIT

# Ranks of LEGS in the family of a session: calls stand for its chat. What says nothing comes after all that does.
CALL, CHAT, UNKNOWN_CALL, RUN = 0, 2, 3, 4

_encode = msgspec.json.Encoder().encode


def of_raw(raw: bytes) -> Usage | None:
    try:
        logged = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return of_logged(logged) if isinstance(logged, dict) else None


def of_logged(logged: Mapping[str, Any]) -> Usage | None:
    if isinstance(logged.get("span"), Mapping):
        return genai.usage(logged["span"])
    if isinstance(logged.get("chat"), Mapping):
        return _of_chat(logged["chat"])
    return None


def _of_chat(told: Mapping[str, Any]) -> Usage:
    """A turn: the prompt of one call, its cached part unknown. Of a turn with several calls it is the least."""
    prompt = values.counter(told.get("promptTokens"))
    several = told.get("several") is True and prompt is not None
    return Usage(
        input_undivided_tokens=prompt,
        context_tokens=prompt,
        output_tokens=values.counter(told.get("outputTokens")),
        lower_bounds=BIT["input_undivided_tokens"] if several else 0,
    )


def event(
    session_id: str, identity: tuple[str, ...], raw: dict[str, Any], rank: int, family: str | None = None, **fields: Any
) -> EventRecord:
    """`family`: the id by which spans know the session, where it is another."""
    usage = of_logged(raw) or Usage()
    return EventRecord(
        key=keys.event_key("vscode-copilot", *identity),
        session_key=keys.session_key("vscode-copilot", session_id),
        harness="vscode-copilot",
        family=keys.key("family", "vscode-copilot", family or session_id),
        rule=LEGS,
        rank=rank,
        identity=_encode(identity).decode(),
        raw_usage=_encode(raw),
        **{name: getattr(usage, name) for name in Usage.__struct_fields__},
        **fields,
    )


def contradictory(record: EventRecord, attributes: genai.Attributes) -> bool:
    return contradicts(genai.number(attributes, genai.INPUT), record)
