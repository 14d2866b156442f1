"""Sessions kept as files: what `export` prints, and the older tree of one file per message and part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueup_agent.harnesses.base import MALFORMED, NO_IDENTITY, Files, SourceFile, Unfinished, skip
from trueup_agent.harnesses.json_text import UNREADABLE, decode, decode_document
from trueup_agent.harnesses.opencode.conversation import Conversation, Json, Part, Session, session_of
from trueup_agent.harnesses.opencode.sequence import unfolded
from trueup_agent.harnesses.values import text
from trueup_agent.records import Parsed

_PIECE_MESSAGES = 1000


def _unknown_costs(session: str, tasks: Any) -> None:
    """The children's files belong to other sources."""


class ExportParser:
    def __init__(self, harness: str, path: Path, files: Files, folds_costs: bool) -> None:
        self._path, self._files = path, files
        self._to = Conversation(harness, files.modified_at(path), _unknown_costs if folds_costs else None)

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        raw = self._files.read(self._path)
        try:
            document = decode_document(raw or b"")
        except UNREADABLE as error:
            raise Unfinished(f"no JSON: {error}") from None
        document = document if isinstance(document, dict) else {}
        info, messages = document.get("info"), document.get("messages")
        session = session_of(info) if isinstance(info, dict) else None
        if session is None or not isinstance(messages, list):
            skip(self._to.parsed, NO_IDENTITY if isinstance(info, dict) else MALFORMED)
            yield self._to.take()
            return
        self._to.parsed.lines += 1
        self._to.session(session)
        for message in messages:
            if len(self._to.parsed.messages) >= _PIECE_MESSAGES:
                yield self._to.take()
            if not isinstance(message, dict):
                self._to.parsed.lines += 1
                skip(self._to.parsed, MALFORMED)
            else:
                self._message(session, message)
        yield self._to.take()

    def _message(self, session: Session, message: Json) -> None:
        info = message.get("info")
        if isinstance(info, dict):
            self._to.message(session, info, _parts(message.get("parts"), self._to.parsed))
        elif "type" not in message:
            skip(self._to.parsed, MALFORMED)
        elif (entry := unfolded(message["type"], message)) is not None:
            self._to.message(session, entry[0] | {"id": message.get("id")}, entry[1])


class TreeParser:
    """`source.companions`: the folder of the session's messages, then one folder of parts per message."""

    def __init__(self, harness: str, source: SourceFile, files: Files, folds_costs: bool) -> None:
        self._source, self._files = source, files
        self._to = Conversation(harness, files.modified_at(source.path), _unknown_costs if folds_costs else None)

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        messages, *part_folders = self._source.companions
        folders = {folder.name: folder for folder in part_folders}
        session = self._session(messages)
        for path in self._files.list(messages):
            info = self._json(path)
            if info is None:
                continue
            info = _unfolded(info)
            if session is None:
                session = self._orphan(info)
            if text(info.get("id")) is None:
                info["id"] = path.stem
            self._to.message(session, info, self._parts_of(info, folders.get(path.stem)))
            if len(self._to.parsed.messages) >= _PIECE_MESSAGES:
                yield self._to.take()
        yield self._to.take()

    def _session(self, messages: Path) -> Session | None:
        if self._source.path == messages:
            return None
        session = session_of(self._json(self._source.path) or {}, messages.name)
        if session is not None:
            self._to.parsed.lines += 1
            self._to.session(session)
        return session

    def _orphan(self, first: Json) -> Session:
        """A session of which only messages are left: it began with the first of them."""
        id_ = text(first.get("sessionID")) or self._source.path.name
        session = session_of({"id": id_, "time": first.get("time")}) or Session(id_)
        self._to.session(session)
        return session

    def _parts_of(self, info: Json, folder: Path | None) -> list[Part]:
        if folder is None or not (paths := self._files.list(folder)):
            return _parts(info.get("parts"), self._to.parsed)
        return [Part(data) for path in paths if (data := self._json(path)) is not None]

    def _json(self, path: Path) -> Json | None:
        """None of what is not whole: each file is written anew when it changes, and then read again."""
        if path.suffix != ".json" or (raw := self._files.read(path)) is None:
            return None
        try:
            value = decode(raw)
        except UNREADABLE:
            value = None
        if isinstance(value, dict):
            return value
        self._to.parsed.lines += 1
        skip(self._to.parsed, MALFORMED)
        return None


def _unfolded(info: Json) -> Json:
    """A message of mid 2025 and before: what others have at the top is in `metadata`, and its parts are within."""
    metadata = info.get("metadata")
    if not isinstance(metadata, dict) or "time" in info:
        return info
    assistant = metadata.get("assistant")
    about = {name: metadata[name] for name in ("time", "sessionID", "error") if name in metadata}
    return info | (assistant if isinstance(assistant, dict) else {}) | about


def _parts(found: Any, parsed: Parsed) -> list[Part]:
    if found is None:
        return []
    if not isinstance(found, list):
        skip(parsed, MALFORMED)
        return []
    for part in found:
        if not isinstance(part, dict):
            parsed.lines += 1
            skip(parsed, MALFORMED)
    return [Part(part) for part in found if isinstance(part, dict)]
