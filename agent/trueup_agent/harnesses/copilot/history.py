"""Sessions of the first builds (2025): one document each, a conversation without any usage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, Files, Unfinished, skip
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.copilot.records import ANSWER, event
from trueup_agent.harnesses.json_text import object_at, objects
from trueup_agent.records import MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import message_key, session_key

_KINDS = {"user": "prompt", "assistant": "answer", "tool": "tool_result", "system": "meta"}


class HistoryParser:
    """`base.WholeParser`. `chatMessages` are in the shape of the chat completions API, without times or ids."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path, self._files = path, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed()
        content = self._files.read(self._path)
        try:
            document = msgspec.json.decode(content or b"")
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise Unfinished("half-written JSON") from None
        if isinstance(document, dict):
            self._document(document, parsed)
        else:
            skip(parsed, MALFORMED)
        yield parsed

    def _document(self, document: dict[str, Any], parsed: Parsed) -> None:
        session_id = values.text(document.get("sessionId")) or values.text(self._path.stem) or "unknown"
        started = values.micros(document.get("startTime"))
        key = session_key("copilot", session_id)
        parsed.sessions.append(SessionRecord(key=key, harness="copilot", session_id=session_id, started_at=started))
        when = started if started is not None else self._files.modified_at(self._path)
        messages = document.get("chatMessages")
        for number, message in enumerate(messages if isinstance(messages, list) else []):
            parsed.lines += 1
            role = message.get("role") if isinstance(message, dict) else None
            if not isinstance(role, str) or role not in _KINDS:
                skip(parsed, MALFORMED)
                continue
            content = message.get("content")
            record = None
            if role == "assistant" and when is not None:
                # A request of which nobody knows the usage.
                record = event(
                    *(session_id, ("history", number), {"answer": {}}, ANSWER),
                    at=when,
                    time_quality=2 if started is not None else 3,
                    session_started=when,
                )
                parsed.events.append(record)
            parsed.messages.append(
                MessageRecord(
                    key=message_key("copilot", session_id, "history", number),
                    session_key=key,
                    harness="copilot",
                    at=None,
                    role=role,
                    kind=_KINDS[role],
                    size_chars=len(content) if isinstance(content, str) else None,
                    tool_names=names(
                        object_at(call, "function").get("name") for call in objects(message.get("tool_calls"))
                    ),
                    event_key=record.key if record is not None else None,
                    session_started=started or 0,
                )
            )
