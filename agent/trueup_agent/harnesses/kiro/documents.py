"""Documents of their own: executions and chats of the first IDE, and a conversation exported from the database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, skip
from trueup_agent.harnesses.content import numbers, text_size
from trueup_agent.harnesses.json_text import decode_document
from trueup_agent.harnesses.kiro.conversations import add
from trueup_agent.harnesses.kiro.records import credits_of, event, message, model_of, money, session
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.records import Parsed

_ROLES = {
    "human": ("user", "prompt"),
    "user": ("user", "prompt"),
    "bot": ("assistant", "answer"),
    "assistant": ("assistant", "answer"),
    "tool": ("tool", "tool_result"),
}


class DocumentParser:
    """`base.WholeParser`. An index `{executions: […]}` beside the executions names them again, and gives nothing."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path, self._files = path, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed(lines=1)
        try:
            document = decode_document(self._files.read(self._path) or b"")
        except UNREADABLE:
            document = None
        if not isinstance(document, dict):
            skip(parsed, MALFORMED)
        elif "history" in document:
            add(document, None, None, self._files.modified_at(self._path), parsed)
        elif (id_ := values.text(document.get("executionId"))) is not None:
            self._execution(id_, document, parsed)
        yield parsed

    def _execution(self, id_: str, document: dict[str, Any], parsed: Parsed) -> None:
        """A turn. Its credits count when it has ended: until then they grow. A chat of it may lie beside it."""
        metadata = document.get("metadata")
        facts = (metadata if isinstance(metadata, dict) else {}) | document
        session_id = values.text(facts.get("chatSessionId")) or values.text(facts.get("sessionId"))
        if session_id is None:
            session_id = id_ if self._path.suffix else values.text(self._path.parent.name) or id_
        began, ended = values.epoch(facts.get("startTime"), 1000), values.epoch(facts.get("endTime"), 1000)
        at, quality = began or ended, 1
        if at is None:
            at, quality = self._files.modified_at(self._path), 3
        if at is None:
            skip(parsed, NO_TIME)
            return
        project = values.text(facts.get("workspaceDirectory"), values.MAX_PATH)
        shared: dict[str, Any] = {"project_path": project, "session_started": at}
        summaries = document.get("usageSummary")
        told = [numbers(one) for one in summaries if isinstance(one, dict)] if isinstance(summaries, list) else []
        credits = credits_of(summaries, "usage") if ended is not None else None
        parsed.sessions.append(session(session_id, started_at=at, project_path=project))
        record = event(
            session_id,
            ("execution", id_),
            {"usageSummary": told},
            at=at,
            time_quality=quality,
            model=model_of(facts.get("modelId")),
            **shared,
            **money(credits),
        )
        parsed.events.append(record)
        chat = document.get("chat")
        for number, entry in enumerate(chat if isinstance(chat, list) else ()):
            role = _ROLES.get(str(entry.get("role"))) if isinstance(entry, dict) else None
            if role is not None:
                parsed.messages.append(
                    message(
                        *(session_id, ("execution", id_, number), *role),
                        at=None,
                        size_chars=text_size(entry.get("content")),
                        event_key=record.key if role[0] == "assistant" else None,
                        **shared,
                    )
                )
