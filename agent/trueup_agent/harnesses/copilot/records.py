"""What all sources of Copilot CLI emit alike: events of one family per session, of which LEGS says what counts."""

from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.copilot.usage import of_logged
from trueup_agent.records import LEGS, EventRecord
from trueup_shared import keys

# Ranks of LEGS. What OpenTelemetry exported counts only where a session has nothing else, the surest kind first.
ROW, LEG, ANSWER, EXPORTED_CALL, EXPORTED_TURN, EXPORTED_RUN = range(6)

_encode = msgspec.json.Encoder().encode


def family(session_id: str) -> bytes:
    return keys.key("family", "copilot", session_id)


def event(
    session_id: str, identity: tuple[str | int | None, ...], raw: dict[str, Any], rank: int, **fields: Any
) -> EventRecord:
    """`identity` within the session; `raw` as copilot/usage.py reads it."""
    usage = of_logged(raw) or Usage()
    whole = (session_id, *identity)
    return EventRecord(
        key=keys.event_key("copilot", *whole),
        session_key=keys.session_key("copilot", session_id),
        harness="copilot",
        family=family(session_id),
        rule=LEGS,
        rank=rank,
        identity=_encode(whole).decode(),
        raw_usage=_encode(raw),
        **{name: getattr(usage, name) for name in Usage.__struct_fields__},
        **fields,
    )
