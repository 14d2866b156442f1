"""Conversations in a database: of the CLI where it was not used by hand, of its older builds, and of Amazon Q."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Database, Files, Usage, skip
from trueup_agent.harnesses.content import names, numbers
from trueup_agent.harnesses.json_text import object_at, object_of, objects
from trueup_agent.harnesses.kiro.records import credits_of, event, message, model_of, money, session
from trueup_agent.harnesses.series import observation
from trueup_agent.harnesses.tables import RowsParser
from trueup_agent.records import Parsed
from trueup_shared.keys import session_key

_CURRENT, _PREDECESSOR = "conversations_v2", "conversations"
_encode = msgspec.json.Encoder().encode


class DatabaseParser(RowsParser):
    """The same conversation may stand under several folders: the newest row has it all. Other tables hold
    credentials, and are not looked at."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path, self._files = path, files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        if {"key", "conversation_id", "value", "updated_at"} <= database.columns(_CURRENT):
            yield from self._current(database)
        elif {"key", "value"} <= database.columns(_PREDECESSOR):
            for key, value in database.rows(f"SELECT key, value FROM {_PREDECESSOR} ORDER BY rowid"):
                self._row(key, value, None, None)
                yield

    def _current(self, database: Database) -> Iterator[None]:
        newest: dict[Any, tuple[Any, int]] = {}
        since = self.since("updated_at", 0)
        for rowid, conversation, updated in database.rows(
            f"SELECT rowid, conversation_id, updated_at FROM {_CURRENT} ORDER BY rowid"
        ):
            if type(updated) in (int, float) and (conversation not in newest or newest[conversation][0] < updated):
                newest[conversation] = updated, rowid
        created = "created_at" if "created_at" in database.columns(_CURRENT) else "NULL"
        for updated, rowid in sorted(newest.values()):
            if updated < since:
                continue
            sql = f"SELECT key, value, {created}, updated_at FROM {_CURRENT} WHERE rowid = ?"
            for row in database.rows(sql, (rowid,)):
                self._row(*row)
            self.saw("updated_at", updated)
            yield

    def _row(self, key: Any, value: Any, created: Any, updated: Any) -> None:
        self.parsed.lines += 1
        payload = object_of(value)
        if payload is None:
            skip(self.parsed, MALFORMED)
            return
        fallback = values.epoch(updated, 1000) or self._files.modified_at(self._path)
        add(payload, values.text(key, values.MAX_PATH), values.epoch(created, 1000), fallback, self.parsed)


def add(payload: dict[str, Any], folder: str | None, created: int | None, fallback: int | None, parsed: Parsed) -> None:
    """One conversation. Its answers are requests of unknown usage; its credits are those of the turn that it is in."""
    session_id = values.text(payload.get("conversation_id"))
    history = payload.get("history")
    if session_id is None or not isinstance(history, list):
        skip(parsed, MALFORMED)
        return
    turns = [turn for turn in history if isinstance(turn, dict)]
    for _ in range(len(history) - len(turns)):
        skip(parsed, MALFORMED)
    folder = folder or next((cwd for turn in turns if (cwd := _folder(turn)) is not None), None)
    started = created or min((at for turn in turns if (at := _time(turn)) is not None), default=fallback)
    shared: dict[str, Any] = {"project_path": folder, "session_started": started or 0}
    parsed.sessions.append(session(session_id, started_at=started, project_path=folder))
    chosen = object_at(payload, "model_info").get("model_id")
    last = fallback
    for number, turn in enumerate(turns):
        at = _time(turn)
        last = at or last
        _turn(session_id, number, turn, (at, started or fallback), chosen, shared, parsed)
    _credits(session_id, payload, last, chosen, shared, parsed)


def _turn(
    session_id: str,
    number: int,
    turn: dict[str, Any],
    times: tuple[int | None, int | None],
    chosen: Any,
    shared: dict[str, Any],
    parsed: Parsed,
) -> None:
    at, fallback = times
    user, answer = object_at(turn, "user"), _answer(turn)
    content = object_at(user, "content")
    is_prompt = "Prompt" in content or "prompt" in content
    asked = values.micros(user.get("timestamp"))
    parsed.messages.append(
        message(
            *(session_id, (session_id, number, "user")),
            "user" if is_prompt else "tool",
            "prompt" if is_prompt else "tool_result",
            at=asked or at,
            size_chars=_size(content),
            **shared,
        )
    )
    if answer is None:
        return
    metadata = object_at(turn, "request_metadata")
    id_ = values.text(answer.get("message_id")) or values.text(metadata.get("message_id")) or str(number)
    when = at or fallback
    record = None
    if when is None:
        skip(parsed, NO_TIME)
    else:
        record = event(
            *(session_id, (session_id, id_), numbers(metadata)),
            at=when,
            time_quality=1 if at is not None else 2,
            model=model_of(metadata.get("model_id"), chosen),
            **shared,
        )
        parsed.events.append(record)
    text = answer.get("content")
    parsed.messages.append(
        message(
            *(session_id, (session_id, id_), "assistant", "answer"),
            at=at,
            size_chars=len(text) if isinstance(text, str) else None,
            tool_names=names(use.get("name") for use in objects(answer.get("tool_uses"))),
            event_key=record.key if record is not None else None,
            **shared,
        )
    )


def _credits(
    session_id: str, payload: dict[str, Any], at: int | None, chosen: Any, shared: dict[str, Any], parsed: Parsed
) -> None:
    """A list that grows within a turn, and begins anew with the next: a running total per turn."""
    metadata = object_at(payload, "user_turn_metadata")
    credits = credits_of(metadata.get("usage_info"), "value")
    if credits is None or at is None:
        return
    turn = values.text(metadata.get("continuation_id")) or ""
    parsed.events.append(
        observation(
            "kiro",
            (session_id, turn),
            (values.amount(float(credits)),),
            Usage(),
            session_key=session_key("kiro", session_id),
            at=at,
            model=model_of(chosen),
            raw_usage=_encode({"credits": credits}),
            **shared,
            **money(credits),
        )
    )


def _time(turn: dict[str, Any]) -> int | None:
    end = values.epoch(object_at(turn, "request_metadata").get("stream_end_timestamp_ms"), 1000)
    return end or values.micros(object_at(turn, "user").get("timestamp"))


def _folder(turn: dict[str, Any]) -> str | None:
    state = object_at(turn, "user", "env_context", "env_state")
    return values.text(state.get("current_working_directory"), values.MAX_PATH)


def _answer(turn: dict[str, Any]) -> dict[str, Any] | None:
    """{"Response": {…}} or {"ToolUse": {…}}."""
    answer = turn.get("assistant")
    return next((one for one in answer.values() if isinstance(one, dict)), None) if isinstance(answer, dict) else None


def _size(content: dict[str, Any]) -> int | None:
    prompt = object_at(content, "Prompt").get("prompt")
    return len(prompt) if isinstance(prompt, str) else None
