"""Reads one session of the IDE line by line: {id, timestamp, payload: {type, …}} (formats/kiro.md, IDE v2)."""

from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, SourceFile, Unfinished, count_unknown, skip, time_of
from trueup_agent.harnesses.content import numbers, text_size
from trueup_agent.harnesses.json_text import decode, decode_document
from trueup_agent.harnesses.kiro.records import credits_of, event, message, model_of, money, session
from trueup_agent.harnesses.lines import UNREADABLE, JsonLines

_ROLES = {
    "user": ("user", "prompt"),
    "assistant": ("assistant", "answer"),
    "tool_call": ("assistant", "answer"),
    "tool_result": ("tool", "tool_result"),
    "summarization": ("system", "summary"),
    "error": ("system", "error"),
}
_SILENT = frozenset(
    (
        *("session_start", "session_metadata", "turn_start", "turn_end", "tombstone", "sub_agent_start"),
        *("sub_agent_end", "pending_interaction", "interaction_resolved", "snapshot", "checkpoint"),
    )
)


class State(Struct):
    session_id: str
    started_at: int | None = None
    records: int = 0


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class IdeParser(JsonLines):
    """`base.LineParser`. What the session is called and where it works stands in the document beside the log."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._source, self._files = source, files
        self.s = _decode_state(state) if state else State(values.text(source.path.parent.name) or "unknown")
        about = self._about()
        folders = about.get("workspacePaths")
        self._project = values.text(folders[0], values.MAX_PATH) if isinstance(folders, list) and folders else None
        self._model, self._title = about.get("modelId"), values.text(about.get("title"))

    def state(self) -> bytes:
        return _encode_state(self.s)

    def decode(self, line: memoryview) -> Any:
        return decode(line)

    def _about(self) -> dict[str, Any]:
        try:
            about = decode_document(self._files.read(self._source.companions[0]) or b"{}")
        except (*UNREADABLE, Unfinished):
            return {}
        return about if isinstance(about, dict) else {}

    def close(self) -> None:
        if self.s.records:
            self.parsed.sessions.append(
                session(
                    self.s.session_id,
                    started_at=self.s.started_at,
                    project_path=self._project,
                    title=self._title,
                )
            )

    def record(self, record: Any, line: memoryview) -> None:
        payload = record.get("payload") if isinstance(record, dict) else None
        if not isinstance(payload, dict):
            skip(self.parsed, MALFORMED)
            return
        s = self.s
        s.records += 1
        at = values.micros(record.get("timestamp")) or values.epoch(record.get("timestamp"), 1000)
        if s.started_at is None:
            s.started_at = at
        kind = payload.get("type")
        id_ = values.text(record.get("id")) or str(s.records)
        if kind == "usage_summary":
            self._usage(payload.get("promptTurnSummaries"), at, id_)
        elif isinstance(kind, str) and kind in _ROLES:
            tool = values.text(payload.get("toolName"), 128)
            self.parsed.messages.append(
                message(
                    *(s.session_id, (s.session_id, id_), *_ROLES[kind]),
                    at=at,
                    size_chars=text_size(payload.get("content")),
                    tool_names=[tool] if tool and kind == "tool_call" else None,
                    project_path=self._project,
                    session_started=s.started_at or 0,
                )
            )
        elif not isinstance(kind, str) or kind not in _SILENT:
            count_unknown(self.parsed, kind)

    def _usage(self, summaries: Any, at: int | None, id_: str) -> None:
        """One per turn, with all that the turn cost."""
        credits = credits_of(summaries, "usage")
        if credits is None:
            return
        when, quality = time_of(at, self.s.started_at, self._files, self._source.path)
        if when is None:
            skip(self.parsed, NO_TIME)
            return
        told = [numbers(one) for one in summaries if isinstance(one, dict)]
        self.parsed.events.append(
            event(
                *(self.s.session_id, (self.s.session_id, id_), {"promptTurnSummaries": told}),
                at=when,
                time_quality=quality,
                model=model_of(self._model),
                project_path=self._project,
                session_started=self.s.started_at or when,
                **money(credits),
            )
        )
