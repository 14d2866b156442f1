"""Reads aider's analytics log: one record per message, exact, without the conversation."""

from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.aider.usage import family_of_logged, read_usage
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, skip
from trueup_agent.harnesses.content import numbers, provider_of
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.twins import Twins
from trueup_agent.harnesses.values import cost, epoch, text
from trueup_agent.records import EventRecord, SessionRecord
from trueup_shared.keys import event_key, key, session_key

ID = "aider"
_FIELDS = ("prompt_tokens", "completion_tokens", "total_tokens", "cost", "total_cost")

_encode = msgspec.json.Encoder().encode


class State(Struct):
    user_id: str | None = None
    launched_at: int | None = None  # of the process that wrote last
    twins: Twins = msgspec.field(default_factory=Twins)


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


class AnalyticsParser(JsonLines):
    """A process that was launched is a session. It names no directory."""

    def __init__(self, path: PurePath, state: bytes | None) -> None:
        super().__init__()
        self.s = decode_state(state) if state else State()

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def state(self) -> bytes:
        return encode_state(self.s)

    def record(self, record: Any, line: memoryview) -> None:
        properties = record.get("properties") if isinstance(record, dict) else None
        if not isinstance(properties, dict) or not isinstance(record.get("event"), str):
            skip(self.parsed, MALFORMED)
            return
        s, at, user = self.s, epoch(record.get("time"), 1), text(record.get("user_id"))
        if record["event"] == "launched" or user != s.user_id or s.launched_at is None:
            s.user_id, s.launched_at = user, at
        if record["event"] == "message_send":
            self._message(properties, at)

    def _message(self, properties: dict[str, Any], at: int | None) -> None:
        s = self.s
        raw = numbers({name: properties[name] for name in _FIELDS if name in properties})
        usage = read_usage(raw)
        if usage is None:
            if "prompt_tokens" not in raw:
                self.parsed.answer(metered=False)
            return
        self.parsed.answer(metered=True)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        model = text(properties.get("main_model"))
        what = (s.user_id, at, model, usage.input_undivided_tokens, usage.output_tokens)
        identity = (*what, s.twins.number(at, _encode(what).decode()))
        session_id = key("aider-process", s.user_id, s.launched_at).hex()
        session = session_key(ID, session_id)
        started = s.launched_at or at
        self.parsed.sessions.append(
            SessionRecord(
                key=session,
                harness=ID,
                session_id=session_id,
                started_at=started,
                harness_version=text(properties.get("aider_version")),
            )
        )
        self.parsed.events.append(
            EventRecord(
                key=event_key(ID, "analytics", *identity),
                session_key=session,
                harness=ID,
                at=at,
                provider=provider_of(model),
                model=model,
                **msgspec.structs.asdict(usage),
                reported_cost=cost(raw.get("cost")),
                reported_cost_unit="usd",
                reported_cost_status="estimated",
                family=family_of_logged(raw),
                session_started=started,
                identity=_encode(identity).decode(),
                raw_usage=_encode(raw),
            )
        )
