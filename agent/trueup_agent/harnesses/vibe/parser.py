"""Reads a session of Mistral Vibe. Rules and evidence: formats/vibe.md.

The totals are those of the running program: resuming a session starts them anew under the same id, and compaction hands
them on to a session with a new id, which names the old one as its parent, as a fork does that starts at zero.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import CONTRADICTORY, MALFORMED, NO_IDENTITY, NO_TIME, Files, Usage, skip, time_of
from trueup_agent.harnesses.content import names, size_of
from trueup_agent.harnesses.inclusive import contradicts, divide
from trueup_agent.harnesses.json_text import UNREADABLE, decode, decode_document, object_at, objects
from trueup_agent.harnesses.series import observation, series_key
from trueup_agent.harnesses.vibe import MESSAGES, META, parent_meta
from trueup_agent.records import MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import message_key, session_key

ID = "vibe"

_VECTOR = ("session_prompt_tokens", "session_completion_tokens", "session_cached_tokens")
_LAST_PROMPT = "last_turn_prompt_tokens"  # of the last request, despite its name
_KINDS = {"user": "prompt", "assistant": "answer", "tool": "tool_result", "system": "meta"}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def usage_of(stats: Mapping[str, Any]) -> Usage:
    prompt, output, cached = (values.counter(stats.get(name)) for name in _VECTOR)
    usage = divide(prompt, cached, None, output, None, one_request=False)
    usage.context_tokens = values.counter(stats.get(_LAST_PROMPT)) or None
    return usage


def of_raw(raw: bytes) -> Usage | None:
    try:
        return usage_of(_decode(raw))
    except UNREADABLE:
        return None


class VibeParser:
    """`base.WholeParser`."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files
        self._parsed = Parsed()

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        document = self._document(self._path)
        if document is not None:
            is_whole = self._path.name != META
            meta = document.get("metadata") if is_whole else document
            messages = document.get("messages") if is_whole else None
            self._session(meta if isinstance(meta, dict) else {}, messages)
        yield self._parsed

    def _document(self, path: Path) -> dict[str, Any] | None:
        """Raises Unfinished where it breaks off."""
        self._parsed.lines += 1
        try:
            document = decode_document(self._files.read(path) or b"")
        except UNREADABLE:
            document = None
        if isinstance(document, dict):
            return document
        skip(self._parsed, MALFORMED)
        return None

    def _session(self, meta: dict[str, Any], messages: Any) -> None:
        self._meta = meta
        self._id = values.text(meta.get("session_id"))
        if self._id is None:
            skip(self._parsed, NO_IDENTITY)
            return
        self._key = session_key(ID, self._id)
        self._started = values.micros(meta.get("start_time"))
        self._project = values.text(object_at(meta, "environment").get("working_directory"), values.MAX_PATH)
        enclosing = parent_meta(self._path)
        parent = (self._id_of(enclosing) if enclosing else None) or values.text(meta.get("parent_session_id"))
        self._parsed.sessions.append(
            SessionRecord(
                key=self._key,
                harness=ID,
                session_id=self._id,
                parent_key=session_key(ID, parent) if parent else None,
                relationship="subagent" if enclosing else "resume" if parent else None,
                started_at=self._started,
                project_path=self._project,
                git_branch=values.text(meta.get("git_branch")),
                title=values.text(meta.get("title")),
            )
        )
        answers = 0
        beside = self._path.name == META
        for number, message in enumerate(self._messages() if beside else objects(messages)):
            answers += message.get("role") == "assistant"
            self._message(number, message)
        self._usage(None if enclosing else parent, answers)

    def _id_of(self, meta: Path) -> str | None:
        """Of the session whose subagent this is."""
        try:
            parent = decode(self._files.read(meta) or b"null")
        except UNREADABLE:
            return None
        return values.text(parent.get("session_id")) if isinstance(parent, dict) else None

    def _model(self) -> str | None:
        config = self._meta.get("config")
        active = config.get("active_model") if isinstance(config, dict) else None
        alias = active.get("alias") if isinstance(active, dict) else active
        return values.text(alias) or values.text(self._meta.get("model"))

    def _usage(self, parent: str | None, answers: int) -> None:
        stats = object_at(self._meta, "stats")
        vector = tuple(values.counter(stats.get(name)) for name in _VECTOR)
        if any(vector[:2]):
            self._parsed.answer(metered=True)
        elif answers and set(vector[:2]) == {None}:
            self._parsed.answer(metered=False)
        if not any(vector[:2]):
            return  # not saved since its first request
        usage = usage_of(stats)
        if contradicts(vector[0], usage):
            skip(self._parsed, CONTRADICTORY)
        at, quality = time_of(values.micros(self._meta.get("end_time")), self._started, self._files, self._path)
        if at is None:
            skip(self._parsed, NO_TIME)
            return
        cost = stats.get("session_cost")
        self._parsed.events.append(
            observation(
                ID,
                (self._id or "",),
                vector,
                usage,
                session_key=self._key,
                at=at,
                time_quality=quality,
                model=self._model(),
                project_path=self._project,
                session_started=self._started or 0,
                after=series_key(ID, parent) if parent else None,
                reported_cost=values.amount(cost) if isinstance(cost, (int, float)) and cost > 0 else None,
                reported_cost_unit="usd",
                reported_cost_status="estimated",  # the producer calls it a worst case: no discount for the cache
                raw_usage=_encode(
                    {n: stats[n] for n in (*_VECTOR, _LAST_PROMPT) if isinstance(stats.get(n), (int, float))}
                ),
            )
        )

    def _messages(self) -> Iterator[dict[str, Any]]:
        content = self._files.read(self._path.with_name(MESSAGES)) or b""
        lines = content.split(b"\n")
        for line in lines[:-1]:  # the last one is empty, or still being written
            if not line.strip():
                continue
            self._parsed.lines += 1
            try:
                message = decode(line)
            except UNREADABLE:
                message = None
            if isinstance(message, dict):
                yield message
            else:
                skip(self._parsed, MALFORMED)

    def _message(self, number: int, message: dict[str, Any]) -> None:
        role = message.get("role")
        if not isinstance(role, str) or role not in _KINDS:
            skip(self._parsed, MALFORMED)
            return
        calls = objects(message.get("tool_calls"))
        self._parsed.messages.append(
            MessageRecord(
                key=message_key(ID, self._id, values.text(message.get("message_id")) or number),
                session_key=self._key,
                harness=ID,
                at=values.micros(message.get("timestamp")),
                role=role,
                kind="meta" if role == "user" and message.get("injected") is True else _KINDS[role],
                model=(values.text(message.get("model")) or self._model()) if role == "assistant" else None,
                tool_names=names(object_at(call, "function").get("name") for call in calls),
                size_chars=size_of(message.get("content")) + size_of(message.get("reasoning_content")),
                project_path=self._project,
                session_started=self._started or 0,
            )
        )
