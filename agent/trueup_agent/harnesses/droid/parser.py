"""Parsers of a Droid conversation and of settings without one (formats/droid.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, SourceFile, count_unknown, skip
from trueup_agent.harnesses.content import said
from trueup_agent.harnesses.droid import LOG_END, SETTINGS_END, totals
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.values import micros, text
from trueup_agent.records import MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_SILENT = ("todo_state", "compaction_state", "session_end")
_TIMES_KEPT = 64  # of answers: the settings are written soon after one, so an old time is never asked for


class _State(Struct):
    session_id: str | None = None
    started: int | None = None
    cwd: str | None = None
    is_capture: bool = False
    ordinal: int = 0
    answers: list[int] = []  # times of the newest answers, as they came
    unmetered: int = 0  # answers since the settings were last read


_state_of = msgspec.msgpack.Decoder(_State).decode


class DroidParser(JsonLines):
    """`base.LineParser`. The total is read when all lines were."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._harness, self._path, self._files = source.harness, source.path, files
        self._settings = source.path.with_name(source.path.name.removesuffix(LOG_END) + SETTINGS_END)
        self._state = _state_of(state) if state else _State()

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def record(self, record: Any, line: memoryview) -> None:
        if not isinstance(record, Mapping):
            skip(self.parsed, MALFORMED)
            return
        state, kind, message = self._state, record.get("type"), record.get("message")
        if not isinstance(message, Mapping) and ("session_id" in record or "sessionId" in record):
            state.is_capture = True  # of `droid exec --output-format stream-json`: no session
        if state.is_capture:
            return
        if kind == "session_start":
            self._session_start(record)
        elif kind == "message":
            if isinstance(message, Mapping):
                self._message(record, message)
            else:
                skip(self.parsed, MALFORMED)
        elif kind not in _SILENT:
            count_unknown(self.parsed, kind)

    def close(self) -> None:
        """Raises Unfinished while the settings are being written."""
        state = self._state
        if state.is_capture or state.session_id is None:
            return
        told = totals.settings(self._files, self._settings)
        if told is None:
            return
        written = self._files.modified_at(self._settings)
        # An answer that is logged before its usage is: the total is of the one before.
        known = [at for at in state.answers if written is None or at <= written]
        at = max(known, default=None)
        quality = 1
        if at is None:
            at, quality = (state.started, 2) if state.started is not None else (written, 3)
        event = None
        if at is not None:
            event = totals.observed(self._harness, state.session_id, told, at, quality, state.started or 0, state.cwd)
        if event is not None:
            self.parsed.events.append(event)
            self.parsed.answer(metered=True)
        else:
            for _ in range(state.unmetered):
                self.parsed.answer(metered=False)
        state.unmetered = 0

    def _session_start(self, record: Mapping[str, Any]) -> None:
        state = self._state
        if state.session_id is not None:
            return
        state.session_id = text(record.get("id")) or self._stem()
        state.cwd = text(record.get("cwd"))
        caller = text(record.get("callingSessionId"))
        self._add_session(state.session_id, caller, record)

    def _stem(self) -> str:
        return text(self._path.name.removesuffix(LOG_END)) or "session"

    def _add_session(self, session_id: str, caller: str | None, record: Mapping[str, Any]) -> None:
        has_parent = caller is not None and caller != session_id
        version = text(record.get("version"), 64)
        self.parsed.sessions.append(
            SessionRecord(
                key=keys.session_key(self._harness, session_id),
                harness=self._harness,
                session_id=session_id,
                parent_key=keys.session_key(self._harness, caller) if caller and has_parent else None,
                relationship="subagent" if has_parent else None,
                started_at=self._state.started,
                project_path=self._state.cwd,
                harness_version=version,
                title=text(record.get("sessionTitle"), 200) or text(record.get("title"), 200),
            )
        )

    def _message(self, record: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        state, role = self._state, message.get("role")
        if role not in ("user", "assistant", "system"):
            count_unknown(self.parsed, role)
            return
        at = micros(record.get("timestamp"))
        if state.session_id is None:
            state.session_id = self._stem()
        if state.started is None and at is not None:
            state.started = at
            self._add_session(state.session_id, None, {})  # its start was not in its first line
        state.ordinal += 1
        id_ = text(record.get("id"))
        if role == "assistant":
            state.unmetered += 1
            if at is not None:
                state.answers = [*state.answers, at][-_TIMES_KEPT:]
        self.parsed.messages.append(
            MessageRecord(
                key=keys.message_key(self._harness, state.session_id, id_ if id_ is not None else state.ordinal),
                session_key=keys.session_key(self._harness, state.session_id),
                harness=self._harness,
                at=at if at is not None else state.started,
                **said(role, message.get("content"))._asdict(),
                project_path=state.cwd,
                session_started=state.started or 0,
            )
        )


class SettingsParser:
    """`base.WholeParser` for a total whose conversation is not there."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._harness, self._path, self._files = source.harness, source.path, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed(lines=1)
        told = totals.settings(self._files, self._path)
        if told is None:
            skip(parsed, MALFORMED)
        else:
            session_id = text(self._path.name.removesuffix(SETTINGS_END)) or "session"
            at = self._files.modified_at(self._path)
            event = None if at is None else totals.observed(self._harness, session_id, told, at, 3, at or 0, None)
            if event is not None:
                parsed.events.append(event)
                parsed.sessions.append(
                    SessionRecord(key=event.session_key, harness=self._harness, session_id=session_id)
                )
            elif at is None:
                skip(parsed, NO_TIME)
        yield parsed
