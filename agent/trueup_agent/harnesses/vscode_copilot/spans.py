"""Reads `agent-traces.db`: spans of model calls, kept for some days (formats/vscode-copilot.md, agent-traces.db)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.base import CONTRADICTORY, NO_IDENTITY, NO_TIME, Files, skip
from trueup_agent.harnesses.marked import MarkedRows, Row, digest_of, select
from trueup_agent.harnesses.vscode_copilot.usage import CALL, UNKNOWN_CALL, contradictory, event
from trueup_agent.records import Parsed, SessionRecord
from trueup_shared.keys import session_key

_TABLE, _ATTRIBUTES = "spans", "span_attributes"
_COUNTERS = {
    "input_tokens": genai.INPUT[0],
    "output_tokens": genai.OUTPUT[0],
    "cached_tokens": genai.CACHE_READ[0],
    "reasoning_tokens": genai.REASONING[0],
    "provider_name": genai.PROVIDER,
}
_COLUMNS = (
    *("span_id", "operation_name", "start_time_ms", "end_time_ms", "status_code", "request_model", "response_model"),
    *("conversation_id", "chat_session_id", *_COUNTERS),
)
_FAILED = 2  # status code of OpenTelemetry
# Attributes that only the command line sets, whose spans VS Code passes on: those calls count with its own logs.
_OF_CLI = ("github.copilot.interaction_id", "github.copilot.service_request_id", "github.copilot.nano_aiu")
_WANTED = (*genai.CACHE_WRITE, *genai.NANO_AIU, *_OF_CLI)


class SpansParser(MarkedRows):
    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path, self._files = path, files

    def ready(self) -> bool:
        self._database = self._files.database(self._path)
        return {"span_id", "operation_name"} <= self._database.columns(_TABLE)

    def page(self, where: str, id_: int, limit: int) -> list[Row]:
        return select(self._database, _TABLE, _COLUMNS, where, id_, limit)

    def digest(self, row: Row) -> str:
        return digest_of(row["span_id"])

    def rows(self, rows: Sequence[Row], parsed: Parsed) -> None:
        calls = [row for row in rows if row["operation_name"] == "chat"]
        attributes = self._attributes([row["span_id"] for row in calls])
        for row in calls:
            self._call(row, attributes.get(row["span_id"], {}), parsed)

    def _attributes(self, span_ids: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """What has no column of its own, by span."""
        found: dict[str, dict[str, Any]] = {}
        if not {"span_id", "key", "value"} <= self._database.columns(_ATTRIBUTES):
            return found
        for start in range(0, len(span_ids), 500):
            part = span_ids[start : start + 500]
            marks, names = ", ".join("?" * len(part)), ", ".join("?" * len(_WANTED))
            sql = f"SELECT span_id, key, value FROM {_ATTRIBUTES} WHERE span_id IN ({marks}) AND key IN ({names})"
            for span_id, key, value in self._database.rows(sql, (*part, *_WANTED)):
                found.setdefault(span_id, {})[key] = value
        return found

    def _call(self, row: Row, attributes: dict[str, Any], parsed: Parsed) -> None:
        if any(name in attributes for name in _OF_CLI):
            return
        attributes |= {name: row[column] for column, name in _COUNTERS.items() if row[column] is not None}
        span_id = values.text(row["span_id"])
        session_id = values.text(row["chat_session_id"]) or values.text(row["conversation_id"])
        at = values.epoch(row["end_time_ms"], 1000) or values.epoch(row["start_time_ms"], 1000)
        known = genai.usage(attributes).reported()
        if span_id is None or session_id is None or at is None:
            skip(parsed, NO_TIME if at is None else NO_IDENTITY)
            return
        if not known and row["status_code"] == _FAILED:
            return
        parsed.answer(metered=known)
        started = values.epoch(row["start_time_ms"], 1000) or at
        parsed.sessions.append(
            SessionRecord(
                key=session_key("vscode-copilot", session_id),
                harness="vscode-copilot",
                session_id=session_id,
                started_at=started,
            )
        )
        record = event(
            *(session_id, ("span", span_id), {"span": genai.kept(attributes)}, CALL if known else UNKNOWN_CALL),
            at=at,
            provider=values.text(row["provider_name"]),
            model=values.text(row["response_model"]) or values.text(row["request_model"]),
            session_started=started,
            **genai.ai_units(genai.number(attributes, genai.NANO_AIU)),
        )
        if contradictory(record, attributes):
            skip(parsed, CONTRADICTORY)
        parsed.events.append(record)
