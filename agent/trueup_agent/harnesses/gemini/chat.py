"""A conversation of Gemini CLI, whichever way it is stored: what its messages say (formats/gemini.md).

Messages are upserted by id and never unbilled: a rewind, a compression or a migration restates them at most. Qwen Code
began as a fork and wrote the same documents.
"""

import hashlib
import re
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import (
    CONTRADICTORY,
    NO_IDENTITY,
    NO_TIME,
    Files,
    SourceFile,
    Unfinished,
    count_unknown,
    skip,
    time_of,
)
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.gemini.places import PROJECT_ROOT, parent_session, project_folder
from trueup_agent.harnesses.gemini.usage import contradicts, kept, of_tokens
from trueup_agent.harnesses.values import MAX_PATH, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_ANSWERS = ("gemini", "qwen")
_SYSTEM = {"info": "meta", "warning": "meta", "error": "error"}
_HASH = re.compile("[0-9a-f]{64}")
_encode = msgspec.json.Encoder().encode


class State(Struct, array_like=True):
    """What a message needs to know of what came before it."""

    session_id: str
    is_named: bool = False  # by the metadata, not by the file's name
    parent_id: str | None = None
    started_at: int | None = None
    project: str | None = None
    has_project: bool = False  # it was looked for
    project_hash: str | None = None
    directory: str | None = None
    title: str | None = None
    entries: int = 0


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


class Chat:
    """Turns metadata and messages into records of `parsed`, which its owner hands out and replaces."""

    def __init__(
        self, harness: str, provider: str | None, source: SourceFile, files: Files, state: bytes | None
    ) -> None:
        self._harness, self._provider = harness, provider
        self._source, self._files = source, files
        if state:
            self.s = decode_state(state)
        else:
            self.s = State(text(source.path.stem) or "unknown", parent_id=text(parent_session(source.path)))
        self.parsed = Parsed()
        self._sessions: dict[bytes, SessionRecord] = {}

    def take(self) -> Parsed:
        self.parsed.sessions = list(self._sessions.values())
        parsed, self.parsed, self._sessions = self.parsed, Parsed(), {}
        return parsed

    def metadata(self, said: dict[str, Any]) -> None:
        """The head of a document, the first line of a journal, or a `$set`. A session keeps the id it began with."""
        s = self.s
        session_id = text(said.get("sessionId"))
        if session_id is not None and not s.is_named:
            s.session_id, s.is_named = session_id, True
        started_at = micros(said.get("startTime"))
        if started_at is not None and (s.started_at is None or started_at < s.started_at):
            s.started_at = started_at
        s.project_hash = text(said.get("projectHash")) or s.project_hash
        s.title = text(said.get("summary")) or s.title
        directories = said.get("directories")
        if isinstance(directories, list) and directories and s.directory is None:
            s.directory = text(directories[0], MAX_PATH)
        if s.entries:
            self._show()
        messages = said.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict):
                self.message(message)

    def message(self, said: dict[str, Any]) -> None:
        kind = said.get("type")
        role_and_kind = _role_and_kind(kind, said)
        if role_and_kind is None:
            count_unknown(self.parsed, kind)
            return
        s, at = self.s, micros(said.get("timestamp"))
        if s.started_at is None:
            s.started_at = at
        s.entries += 1
        self._show()
        id_ = text(said.get("id"))
        event_key = self._event(said, id_, at) if kind in _ANSWERS else None
        role, kind = role_and_kind
        self.parsed.messages.append(
            MessageRecord(
                key=keys.message_key(self._harness, s.session_id, id_ if id_ is not None else s.entries),
                session_key=self._session_key(),
                harness=self._harness,
                at=at,
                role=role,
                kind=kind,
                model=text(said.get("model")),
                tool_names=_tool_names(said.get("toolCalls")),
                size_chars=_size(said.get("content")) + _thoughts_size(said.get("thoughts")),
                event_key=event_key,
                project_path=s.project,
                session_started=s.started_at or 0,
            )
        )

    def _event(self, said: dict[str, Any], id_: str | None, at: int | None) -> bytes | None:
        """The request behind an answer. Without tokens it was aborted, or its usage comes with a later copy of it."""
        tokens = kept(said.get("tokens"))
        usage = of_tokens(tokens) if tokens else None
        if usage is None or not usage.reported():
            # `"tokens": null` is written before they are known, zeros where they never were; turns that the program
            # makes up have no model. What is left ought to have had some.
            if not tokens and (said.get("tokens") is not None or ("tokens" not in said and "model" in said)):
                self.parsed.answer(metered=False)
            return None
        assert tokens is not None
        self.parsed.answer(metered=True)
        if contradicts(tokens, usage):
            skip(self.parsed, CONTRADICTORY)
        s = self.s
        when, quality = time_of(at, s.started_at, self._files, self._source.path)
        if id_ is None or when is None:
            skip(self.parsed, NO_IDENTITY if id_ is None else NO_TIME)
            return None
        event = EventRecord(
            key=keys.event_key(self._harness, s.session_id, id_),
            session_key=self._session_key(),
            harness=self._harness,
            at=when,
            time_quality=quality,
            provider=self._provider,
            model=text(said.get("model")),
            project_path=s.project,
            session_started=s.started_at or 0,
            identity=_encode([s.session_id, id_]).decode(),
            raw_usage=_encode(tokens),
            **msgspec.structs.asdict(usage),
        )
        self.parsed.events.append(event)
        return event.key

    def _session_key(self) -> bytes:
        return keys.session_key(self._harness, self.s.session_id)

    def _show(self) -> None:
        """A session is one when something was said in it."""
        s = self.s
        if not s.has_project:
            s.project, s.has_project = self._project(), True
        key = self._session_key()
        self._sessions[key] = SessionRecord(
            key=key,
            harness=self._harness,
            session_id=s.session_id,
            parent_key=keys.session_key(self._harness, s.parent_id) if s.parent_id else None,
            relationship="subagent" if s.parent_id else None,
            started_at=s.started_at,
            project_path=s.project,
            title=s.title,
        )

    def _project(self) -> str | None:
        """The folder below `tmp` is a readable name or a hash of the project's path; its hash where nothing tells."""
        folder = project_folder(self._source.path)
        name = folder.name if folder is not None else None
        digest = self.s.project_hash or (name if name and _HASH.fullmatch(name) else None)
        roots: list[str] = []
        for companion in self._source.companions:
            try:
                content = self._files.read(companion) or b""
            except (OSError, Unfinished):
                continue  # it names the project, and nothing else
            if companion.name == PROJECT_ROOT:
                if root := text(content.decode("utf-8", "replace").strip(), MAX_PATH):
                    return root
            else:
                roots = [root for root, slug in _projects(content).items() if slug == name or _sha(root) == digest]
        directory = self.s.directory
        found = next((root for root in roots if _sha(root) == digest), roots[0] if roots else directory)
        return text(found, MAX_PATH) or text(name) or digest


def _projects(content: bytes) -> dict[str, str]:
    projects = (json_text.object_of(content) or {}).get("projects")
    return projects if isinstance(projects, dict) else {}


def _sha(root: str) -> str:
    return hashlib.sha256(root.encode("utf-8", "replace")).hexdigest()


def _role_and_kind(kind: Any, said: dict[str, Any]) -> tuple[str, str] | None:
    if kind in _ANSWERS:
        return "assistant", "answer"
    if kind == "user":
        if _is_tool_result(said.get("content")):
            return "tool", "tool_result"
        return "user", "meta" if _is_tool_result(said.get("displayContent")) else "prompt"
    return ("system", _SYSTEM[kind]) if isinstance(kind, str) and kind in _SYSTEM else None


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [] if content is None else [content]


def _is_tool_result(content: Any) -> bool:
    parts = _parts(content)
    return bool(parts) and all(isinstance(part, dict) and "functionResponse" in part for part in parts)


def _size(content: Any) -> int:
    texts = (part.get("text") if isinstance(part, dict) else part for part in _parts(content))
    return sum(len(one) for one in texts if isinstance(one, str))


def _thoughts_size(thoughts: Any) -> int:
    said = [thought.get("description") for thought in _parts(thoughts) if isinstance(thought, dict)]
    return sum(len(one) for one in said if isinstance(one, str))


def _tool_names(calls: Any) -> list[str] | None:
    return names(call.get("name") for call in _parts(calls) if isinstance(call, dict))
