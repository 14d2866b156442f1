"""What Copilot exported as OpenTelemetry to a file that the user named: the last choice (formats/copilot.md).

Several records describe one call. A span of a call and the log record of the same response have one identity, so they
join; what sums calls up (a turn, a run) has a rank of its own and counts only where a session has no calls.
"""

from collections.abc import Mapping
from typing import Any

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.base import CONTRADICTORY, ELSEWHERE, NO_IDENTITY, NO_TIME, count_unknown, skip
from trueup_agent.harnesses.copilot.records import EXPORTED_CALL, EXPORTED_RUN, EXPORTED_TURN, event
from trueup_agent.harnesses.copilot.usage import contradictory
from trueup_agent.records import Parsed, SessionRecord
from trueup_shared.keys import session_key

_EVENT_NAME = "event.name"
_CALL_LOG, _TURN_LOG = "gen_ai.client.inference.operation.details", "copilot_chat.agent.turn"
_OTHERS = ("copilot-chat", "vs-copilot")  # VS Code writes to the same file where the user names one for all
_RANKS = {"chat": EXPORTED_CALL, _CALL_LOG: EXPORTED_CALL, _TURN_LOG: EXPORTED_TURN, "invoke_agent": EXPORTED_RUN}


def read(record: Any, parsed: Parsed) -> None:
    """One line: a span, a log record or a batch of spans. Metrics sum over sessions and are not read."""
    if not isinstance(record, Mapping):
        count_unknown(parsed, None)
    elif "resourceSpans" in record:
        for about, span in genai.spans_of_batch(record):
            _read(about, span, parsed)
    else:
        resource = record.get("resource")
        _read(
            genai.attributes_of(resource.get("attributes") if isinstance(resource, Mapping) else None), record, parsed
        )


def _read(resource: genai.Attributes, record: Mapping[str, Any], parsed: Parsed) -> None:
    if resource.get("service.name") in _OTHERS:
        skip(parsed, ELSEWHERE)
        return
    attributes = genai.attributes_of(record.get("attributes"))
    kind = attributes.get(_EVENT_NAME) or attributes.get(genai.OPERATION)
    rank = _RANKS.get(kind) if isinstance(kind, str) else None
    if rank is None:
        if kind not in ("execute_tool", None):
            count_unknown(parsed, kind)
        return
    raw = {"span": genai.kept(attributes)}
    at = genai.span_time(record, "endTime") or genai.span_time(record, "hrTime") or genai.span_time(record, "time")
    identity = _identity(record, attributes, rank)
    session_id = values.text(attributes.get(genai.CONVERSATION)) or (identity[1] if identity else None)
    if at is None or identity is None or session_id is None:
        if genai.usage(attributes).reported():
            skip(parsed, NO_TIME if at is None else NO_IDENTITY)
        return
    parsed.sessions.append(
        SessionRecord(key=session_key("copilot", session_id), harness="copilot", session_id=session_id, started_at=at)
    )
    found = event(
        *(session_id, identity, raw, rank),
        at=at,
        model=values.text(attributes.get(genai.RESPONSE_MODEL)) or values.text(attributes.get(genai.REQUEST_MODEL)),
        session_started=at,
        **genai.ai_units(genai.number(attributes, genai.NANO_AIU)),
    )
    if contradictory(raw, found):
        skip(parsed, CONTRADICTORY)
    parsed.events.append(found)


def _identity(record: Mapping[str, Any], attributes: genai.Attributes, rank: int) -> tuple[str, ...] | None:
    """The provider's id of the answer, which a call's span and its log record share; else the span's own ids."""
    response = values.text(attributes.get(genai.RESPONSE_ID))
    if rank == EXPORTED_CALL and response is not None:
        return "response", response
    context = record.get("spanContext")
    where = context if isinstance(context, Mapping) else record
    trace, span = values.text(where.get("traceId")), values.text(where.get("spanId"))
    if trace is None or span is None:
        return None
    turn = attributes.get("turn.index") if rank == EXPORTED_TURN else None
    return ("span", trace, span) if turn is None else ("turn", trace, span, str(turn)[:32])
