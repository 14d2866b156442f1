"""Reads one session of the CLI: the log of its messages, and the document beside it with what its turns cost."""

from collections.abc import Iterator
from typing import Any

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, SourceFile, count_unknown, skip, time_of
from trueup_agent.harnesses.content import names, numbers
from trueup_agent.harnesses.json_text import decode, decode_document, object_at
from trueup_agent.harnesses.kiro.records import credits_of, event, message, model_of, money, session
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.records import EventRecord, Parsed

_ROLES = {
    "Prompt": ("user", "prompt"),
    "AssistantMessage": ("assistant", "answer"),
    "ToolResults": ("tool", "tool_result"),
    "Clear": ("system", "meta"),
}


class CliParser:
    """`base.WholeParser`. The document is rewritten with every turn, the log appended to."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._files = files
        self._document, self._log = (
            (source.path, source.companions[0])
            if source.path.suffix == ".json"
            else (source.companions[0], source.path)
        )

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed()
        document = _decoded(self._files.read(self._document), parsed)
        log = self._files.read(self._log) or b""
        session_id = values.text(document.get("session_id")) or values.text(self._document.stem) or "unknown"
        lines = list(_lines(log, parsed))
        started = values.micros(document.get("created_at")) or min(
            (at for line in lines if (at := _time(line)) is not None), default=None
        )
        project = values.text(document.get("cwd"), values.MAX_PATH)
        if document or lines:
            parsed.sessions.append(
                session(session_id, started_at=started, project_path=project, title=values.text(document.get("title")))
            )
        shared: dict[str, Any] = {"project_path": project, "session_started": started or 0}
        turns = self._turns(session_id, object_at(document, "session_state"), shared, parsed)
        _messages(session_id, lines, turns, shared, parsed)
        yield parsed

    def _turns(
        self, session_id: str, state: dict[str, Any], shared: dict[str, Any], parsed: Parsed
    ) -> list[EventRecord]:
        chosen = object_at(state, "rts_model_state", "model_info").get("model_id")
        logged = object_at(state, "conversation_metadata").get("user_turn_metadatas")
        for number, turn in enumerate(logged if isinstance(logged, list) else ()):
            parsed.lines += 1
            if not isinstance(turn, dict):
                skip(parsed, MALFORMED)
                continue
            credits = credits_of(turn.get("metering_usage"), "value")
            if credits is None:
                continue  # under way, or never billed
            end = values.text(turn.get("end_timestamp"))
            at, quality = time_of(values.micros(end), shared["session_started"] or None, self._files, self._document)
            if at is None:
                skip(parsed, NO_TIME)
                continue
            metered = [numbers(entry) for entry in turn["metering_usage"] if isinstance(entry, dict)]
            parsed.events.append(
                event(
                    session_id,
                    (session_id, number, end),
                    {**numbers(turn), "metering_usage": metered},
                    at=at,
                    time_quality=quality,
                    model=model_of(turn.get("model"), chosen),
                    **shared,
                    **money(credits),
                )
            )
        return parsed.events


def _messages(
    session_id: str, lines: list[dict[str, Any]], turns: list[EventRecord], shared: dict[str, Any], parsed: Parsed
) -> None:
    """Entries of the log, each answer with its turn: the first that ended after the prompt, since `Clear` begins the
    log anew while the turns go on."""
    asked: int | None = None
    for number, line in enumerate(lines):
        role = _ROLES.get(line["kind"])
        if role is None:
            count_unknown(parsed, line["kind"])
            continue
        data = line["data"]
        at = _time(line)
        if line["kind"] == "Prompt":
            asked = at
        turn = next((turn for turn in turns if asked is not None and turn.at >= asked), None)
        id_ = values.text(data.get("message_id")) or number
        content = data.get("content")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        parsed.messages.append(
            message(
                *(session_id, (session_id, id_), *role),
                at=at,
                size_chars=sum(len(block["data"]) for block in blocks if isinstance(block.get("data"), str)),
                tool_names=_tools(blocks),
                event_key=turn.key if turn is not None and role[0] == "assistant" else None,
                **shared,
            )
        )


def _tools(blocks: list[dict[str, Any]]) -> list[str] | None:
    used = [block["data"] for block in blocks if block.get("kind") == "toolUse" and isinstance(block.get("data"), dict)]
    return names(tool.get("name") for tool in used)


def _lines(log: bytes, parsed: Parsed) -> Iterator[dict[str, Any]]:
    """Whole lines; one that does not end yet is being written."""
    for line in log[: log.rfind(b"\n") + 1].splitlines():
        if not line.strip():
            continue
        parsed.lines += 1
        try:
            record = decode(line)
        except UNREADABLE:
            record = None
        if isinstance(record, dict) and isinstance(record.get("kind"), str):
            yield {"kind": record["kind"], "data": record["data"] if isinstance(record.get("data"), dict) else {}}
        else:
            skip(parsed, MALFORMED)


def _time(line: dict[str, Any]) -> int | None:
    return values.epoch(object_at(line["data"], "meta").get("timestamp"), 1)


def _decoded(content: bytes | None, parsed: Parsed) -> dict[str, Any]:
    if not content:
        return {}
    try:
        document = decode_document(content)
    except UNREADABLE:
        document = None
    if not isinstance(document, dict):
        skip(parsed, MALFORMED)
        return {}
    return document
