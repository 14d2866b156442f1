"""Reads one chat of VS Code: its document, or its journal replayed (formats/vscode-copilot.md, chatSessions)."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_IDENTITY, NO_TIME, Files, SourceFile, Unfinished, skip
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.editors import path_of_uri
from trueup_agent.harnesses.json_text import decode_document
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.vscode_copilot.journal import DECODERS, SHAPE, Chat
from trueup_agent.harnesses.vscode_copilot.usage import CHAT, event
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import message_key, session_key

_VENDOR = "copilot"  # of models that Copilot serves; others are called with a key of the user


class ChatParser:
    """`base.WholeParser` for one file."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed()
        content = self._files.read(self._source.path) or b""
        chat = Chat()
        if self._source.path.suffix == ".jsonl":
            _replay(chat, content, parsed)
        else:
            chat.state = _document(content, parsed)
        self._emit(chat, parsed)
        yield parsed

    def _emit(self, chat: Chat, parsed: Parsed) -> None:
        requests = list(chat.requests())
        if not requests:
            return  # a chat that was opened, and no more
        session_id = values.text(chat.state.get("sessionId")) or values.text(self._source.path.stem) or "unknown"
        times = [at for request in requests if (at := values.epoch(request.get("timestamp"), 1000)) is not None]
        created = values.epoch(chat.state.get("creationDate"), 1000)
        started = created if created is not None else min(times, default=None)
        project = self._project()
        parsed.sessions.append(
            SessionRecord(
                key=session_key("vscode-copilot", session_id),
                harness="vscode-copilot",
                session_id=session_id,
                started_at=started,
                project_path=project,
                title=values.text(chat.state.get("customTitle")),
            )
        )
        for request in requests:
            self._request(session_id, request, started, project, parsed)

    def _request(
        self, session_id: str, request: dict[str, Any], started: int | None, project: str | None, parsed: Parsed
    ) -> None:
        request_id = values.text(request.get("requestId"))
        if request_id is None:
            skip(parsed, NO_IDENTITY)
            return
        at = values.epoch(request.get("timestamp"), 1000)
        shared = {"at": at, "project_path": project, "session_started": started or at or 0}
        record = self._event(session_id, request_id, request, shared, parsed)
        message, response = request.get("message") or {}, request.get("response")
        parts = [part for part in response or () if isinstance(part, dict)]
        if response is not None or record is not None:
            parsed.messages.append(
                _message(
                    *(session_id, request_id, "assistant", "answer", shared),
                    size_chars=sum(size for part in parts if (size := values.counter(part.get("value"))) is not None),
                    tool_names=_tools(parts),
                    model=_model(request)[1],
                    event_key=record.key if record is not None else None,
                )
            )
        parsed.messages.append(
            _message(session_id, request_id, "user", "prompt", shared, size_chars=message.get("text"))
        )

    def _event(
        self, session_id: str, request_id: str, request: dict[str, Any], shared: dict[str, Any], parsed: Parsed
    ) -> EventRecord | None:
        """The turn's usage; None for one that is under way, or was cancelled before any was told."""
        result = request.get("result")
        metadata = (result.get("metadata") if isinstance(result, dict) else None) or {}
        told: dict[str, Any] = {
            name: n
            for name in ("promptTokens", "outputTokens")
            if (n := values.counter(metadata.get(name))) is not None
        }
        known = bool(told)
        if result is None or (request.get("isCanceled") is True and not known):
            return None
        when, quality = _when(shared["at"], shared["session_started"], self)
        if when is None:
            skip(parsed, NO_TIME)
            return None
        if known or "resolvedModel" in metadata:  # builds that tell the one tell the other
            parsed.answer(metered=known)
        provider, model = _model(request)
        if _has_several_calls(metadata, request):
            told["several"] = True
        record = event(
            *(session_id, (session_id, request_id), {"chat": told}, CHAT, values.text(metadata.get("sessionId"))),
            provider=provider,
            model=model,
            time_quality=quality,
            **(shared | {"at": when}),
        )
        parsed.events.append(record)
        return record

    def modified_at(self) -> int | None:
        return self._files.modified_at(self._source.path)

    def _project(self) -> str | None:
        """The folder of the window, from the file beside the chats: as a URI, of this machine or of a remote one."""
        content = self._files.read(self._source.companions[0]) if self._source.companions else None
        try:
            named = decode_document(content or b"{}")
        except (*UNREADABLE, Unfinished):
            return None
        uri = named.get("folder") or named.get("workspace") if isinstance(named, dict) else None
        return _path_of(uri)


def _replay(chat: Chat, content: bytes, parsed: Parsed) -> None:
    """Whole lines; one that does not end yet is being written."""
    view, start = memoryview(content), 0
    while (end := content.find(b"\n", start)) >= 0:
        if end > start:
            parsed.lines += 1
            chat.line(view[start:end], parsed)
        start = end + 1


def _document(content: bytes, parsed: Parsed) -> dict[str, Any]:
    parsed.lines += 1
    try:
        state = DECODERS.decode(content, SHAPE)
    except UNREADABLE:
        try:
            decode_document(content)
        except UNREADABLE:
            pass  # Unfinished is raised where it breaks off
        state = None
    if state is None:
        skip(parsed, MALFORMED)
    return state or {}


def _when(at: int | None, started: int, chat: ChatParser) -> tuple[int | None, int]:
    if at is not None:
        return at, 1
    return (started, 2) if started else (chat.modified_at(), 3)


def _model(request: dict[str, Any]) -> tuple[str | None, str | None]:
    """(provider, model). The model that answered, else the one that was chosen, `vendor/model`: auto is a choice."""
    result = request.get("result")
    metadata = (result.get("metadata") if isinstance(result, dict) else None) or {}
    chosen = values.text(request.get("modelId"))
    vendor, slash, name = (chosen or "").partition("/")
    if not slash:
        vendor, name = _VENDOR, chosen or ""
    served = values.text(metadata.get("resolvedModel")) or (name if name not in ("", "auto") else None)
    return (vendor if vendor != _VENDOR else None), served


def _has_several_calls(metadata: dict[str, Any], request: dict[str, Any]) -> bool:
    """A turn whose model called tools was called again with their results."""
    rounds = [each for each in metadata.get("toolCallRounds") or () if isinstance(each, dict)]
    if rounds:
        return len(rounds) > 1 or any(each.get("toolCalls") for each in rounds)
    return any(isinstance(part, dict) and _is_tool(part) for part in request.get("response") or ())


def _is_tool(part: dict[str, Any]) -> bool:
    return part.get("kind") == "toolInvocationSerialized"


def _tools(parts: list[dict[str, Any]]) -> list[str] | None:
    called = {part.get("toolCallId") or number: part for number, part in enumerate(parts) if _is_tool(part)}
    return names(part.get("toolId") for part in called.values())


def _message(
    session_id: str, request_id: str, role: str, kind: str, shared: dict[str, Any], **fields: Any
) -> MessageRecord:
    return MessageRecord(
        key=message_key("vscode-copilot", session_id, request_id, role),
        session_key=session_key("vscode-copilot", session_id),
        harness="vscode-copilot",
        role=role,
        kind=kind,
        **shared,
        **fields,
    )


def _path_of(uri: Any) -> str | None:
    path = path_of_uri(uri)
    if path is not None and path.endswith(".code-workspace"):
        path = str(PurePosixPath(path).parent)
    return values.text(path, values.MAX_PATH)
