"""Reads a Qwen Code transcript line by line (formats/qwen.md)."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import (
    CONTRADICTORY,
    MALFORMED,
    NO_IDENTITY,
    NO_TIME,
    Files,
    SourceFile,
    count_unknown,
    skip,
    time_of,
)
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.qwen.usage import contradicts, is_google, kept, of_metadata
from trueup_agent.harnesses.values import LATEST, MAX_PATH, counter, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

ID = "qwen"
MAX_SESSIONS = 64  # in one file: its own, and those of subagents that were logged inline

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# What the program writes in the user's name.
_NOT_TYPED = ("notification", "background_task_completed", "cron", "goal_runtime", "agent_launch_prompt")
_USER_SUBTYPES = (*_NOT_TYPED, "mid_turn_user_message", "realtime_message")
_SYSTEM_SUBTYPES = {
    *("session_notes", "chat_compression", "slash_command", "ui_telemetry", "at_command", "attribution_snapshot"),
    *("custom_title", "parent_session", "session_source", "session_execution_engine", "omni_recall", "session_model"),
    *("session_approval_mode", "rewind", "agent_bootstrap", "agent_retry", "agent_session_ready", "turn_result"),
    *("file_history_snapshot", "user_text_elements", "session_artifact_event", "session_artifact_snapshot"),
    *("session_sources_snapshot", "branch_checkpoint", "goal_state", "goal_turn_end", *_USER_SUBTYPES),
}
_encode = msgspec.json.Encoder().encode


class Session(Struct, array_like=True):
    """What is known of one session so far."""

    id: str
    parent_id: str | None = None
    relationship: str | None = None
    started_at: int | None = None
    project: str | None = None
    branch: str | None = None
    version: str | None = None
    title: str | None = None
    is_shown: bool = False  # a message or an event refers to it


class State(Struct, array_like=True):
    records: int = 0
    sessions: dict[str, Session] = {}
    answered: tuple[int | None, int | None, str] | None = None  # prompt, candidates and auth type of the last telemetry


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class QwenParser(JsonLines):
    """`base.LineParser` of one transcript. A record is its uuid wherever it was copied to; its last line wins."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._source, self._files = source, files
        self._s = _decode_state(state) if state else State()

    def state(self) -> bytes:
        return _encode_state(self._s)

    def decode(self, line: memoryview) -> Any:
        return json_text.decode_glued(line)

    def record(self, record: Any, line: memoryview) -> None:
        for one in record:
            if isinstance(one, dict):
                self._read(one)
            else:
                skip(self.parsed, MALFORMED)

    def take(self) -> Parsed:
        self.parsed.sessions = [_row(session) for session in self._s.sessions.values() if session.is_shown]
        return super().take()

    def _read(self, said: dict[str, Any]) -> None:
        self._s.records += 1
        kind, subtype, at = said.get("type"), said.get("subtype"), micros(said.get("timestamp"))
        session, copied = self._session(said, at)
        if kind == "assistant":
            event_key = self._event(said, session, copied, at)
            self._message(said, session, copied, at, "assistant", "answer", event_key)
        elif kind == "user":
            typed = subtype not in _NOT_TYPED
            self._message(said, session, copied, at, "user", "prompt" if typed else "meta")
        elif kind == "tool_result":
            self._message(said, session, copied, at, "tool", "tool_result")
        elif kind == "system":
            self._system(said, session, copied, at)
        else:
            count_unknown(self.parsed, kind)

    def _session(self, said: dict[str, Any], at: int | None) -> tuple[Session, bool]:
        """Session of a record, and whether it is a copy: `/branch` repeats a conversation under another session id."""
        own_id = text(said.get("sessionId")) or text(self._source.path.stem) or "unknown"
        agent, forked = text(said.get("agentId")), said.get("forkedFrom")
        id_ = f"{own_id}/{agent}" if agent else own_id
        session = self._s.sessions.get(id_)
        if session is None:
            session = self._s.sessions[id_] = Session(id_)
            if len(self._s.sessions) > MAX_SESSIONS:
                self._forget(next(iter(self._s.sessions)))
        if agent:
            session.parent_id, session.relationship = own_id, "subagent"
        if isinstance(forked, dict) and session.parent_id is None:
            session.parent_id = text(forked.get("sessionId"))
            session.relationship = "fork" if session.parent_id else None
        copied = isinstance(forked, dict)
        if not copied and session.started_at is None:
            session.started_at = at
        session.project = session.project or text(said.get("cwd"), MAX_PATH)
        session.branch = session.branch or text(said.get("gitBranch"))
        session.version = session.version or text(said.get("version"))
        return session, copied

    def _forget(self, id_: str) -> None:
        session = self._s.sessions.pop(id_)
        if session.is_shown:
            self.parsed.sessions.append(_row(session))

    def _system(self, said: dict[str, Any], session: Session, copied: bool, at: int | None) -> None:
        subtype, payload = said.get("subtype"), said.get("systemPayload")
        if isinstance(subtype, str) and subtype not in _SYSTEM_SUBTYPES:
            count_unknown(self.parsed, f"system/{subtype}")
        if subtype == "chat_compression":
            self._message(said, session, copied, at, "system", "summary")
        if not isinstance(payload, dict):
            return
        if subtype == "ui_telemetry":
            self._telemetry(payload.get("uiEvent"))
        elif subtype == "custom_title":
            session.title = text(payload.get("customTitle")) or session.title
        elif subtype == "parent_session" and (parent := text(payload.get("parentSessionId"))):
            session.parent_id, session.relationship = parent, "subagent"

    def _telemetry(self, event: Any) -> None:
        """The same request as the next answer: never counted, but it knows who served it."""
        auth = text(event.get("auth_type")) if isinstance(event, dict) else None
        if auth is not None and "input_token_count" in event:
            self._s.answered = counter(event["input_token_count"]), counter(event.get("output_token_count")), auth

    def _event(self, said: dict[str, Any], session: Session, copied: bool, at: int | None) -> bytes | None:
        counters = kept(said.get("usageMetadata"))
        auth = None
        if counters and self._s.answered is not None:
            prompt, output, auth_of_last = self._s.answered
            vector = counters.get("promptTokenCount"), counters.get("candidatesTokenCount")
            auth = auth_of_last if (prompt, output) == vector else None
            counters = kept(said.get("usageMetadata"), auth)
        usage = of_metadata(counters) if counters else None
        if usage is None or not usage.reported():
            # Subagents log tool calls without usage; zeros were never known. Any other answer ought to have some.
            if not counters and "agentId" not in said and not said.get("isSidechain"):
                self.parsed.answer(metered=False)
            return None
        self.parsed.answer(metered=True)
        if contradicts(usage):
            skip(self.parsed, CONTRADICTORY)
        when, quality = time_of(at, session.started_at, self._files, self._source.path)
        identity = _identity(said, session)
        if identity is None or when is None:
            skip(self.parsed, NO_IDENTITY if identity is None else NO_TIME)
            return None
        event = EventRecord(
            key=keys.event_key(ID, *identity),
            session_key=keys.session_key(ID, session.id),
            harness=ID,
            at=when,
            time_quality=quality,
            provider="google" if is_google(auth) else "qwen" if auth == "qwen-oauth" else None,
            model=text(said.get("model")),
            project_path=session.project,
            copy=int(copied),
            session_started=_started(session, copied),
            identity=_encode(identity).decode(),
            raw_usage=_encode(counters),
            **msgspec.structs.asdict(usage),
        )
        self.parsed.events.append(event)
        return event.key

    def _message(
        self,
        said: dict[str, Any],
        session: Session,
        copied: bool,
        at: int | None,
        role: str,
        kind: str,
        event_key: bytes | None = None,
    ) -> None:
        session.is_shown = True
        identity = _identity(said, session) or (session.id, self._s.records)
        parts = _parts(said.get("message"))
        calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]
        self.parsed.messages.append(
            MessageRecord(
                key=keys.message_key(ID, *identity),
                session_key=keys.session_key(ID, session.id),
                harness=ID,
                at=at,
                role=role,
                kind=kind,
                model=text(said.get("model")),
                tool_names=names(call.get("name") for call in calls),
                size_chars=sum(len(words) for part in parts if isinstance(words := part.get("text"), str)),
                event_key=event_key,
                project_path=session.project,
                copy=int(copied),
                session_started=_started(session, copied),
            )
        )


def _identity(said: dict[str, Any], session: Session) -> tuple[str, ...] | None:
    """A uuid is one everywhere; any other id only in the session that a record was first written in."""
    uuid, forked = text(said.get("uuid")), said.get("forkedFrom")
    if uuid is None or _UUID.fullmatch(uuid):
        return None if uuid is None else (uuid,)
    first = text(forked.get("sessionId")) if isinstance(forked, dict) else None
    return first or session.id, uuid


def _started(session: Session, copied: bool) -> int:
    """Of a copy nothing is known that tells one branch from another."""
    return LATEST if copied else session.started_at or 0


def _row(session: Session) -> SessionRecord:
    return SessionRecord(
        key=keys.session_key(ID, session.id),
        harness=ID,
        session_id=session.id,
        parent_key=keys.session_key(ID, session.parent_id) if session.parent_id else None,
        relationship=session.relationship,
        started_at=session.started_at,
        project_path=session.project,
        git_branch=session.branch,
        harness_version=session.version,
        title=session.title,
    )


def _parts(message: Any) -> list[dict[str, Any]]:
    parts = message.get("parts") if isinstance(message, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
