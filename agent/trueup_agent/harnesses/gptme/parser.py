"""Reads a gptme conversation with its branches and views (formats/gptme.md).

All of them repeat the same messages, and a fork repeats them in another folder: a request is known by the time that its
message bears and by its counters. What /edit and /undo took out of the conversation remains in a branch.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import (
    MALFORMED,
    NO_TIME,
    Files,
    SourceFile,
    Unfinished,
    Usage,
    count_unknown,
    skip,
    time_of,
)
from trueup_agent.harnesses.content import names, numbers, provider_of
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.values import LATEST, MAX_PATH, cost, counter, local_micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key
from trueup_shared.metrics import BIT, MAX_COUNTER

ID = "gptme"
PIECE_MESSAGES = 2_000
_FIELDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")
_DATED = re.compile(r"\d{4}-\d\d-\d\d(?=-)")  # a conversation's name begins with the day on which it was made
# How an answer calls a tool: `@name(call-id): {…}`, or a block of code of a kind that is run.
_CALLS = re.compile(
    r"^@(\w+)\(|^```(shell|ipython|python|save|append|patch|morph|tmux|gh|vision|rag|subagent|computer|browser)\b",
    re.MULTILINE,
)

_encode = msgspec.json.Encoder().encode


class GptmeParser:
    """`base.WholeParser` of one conversation."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files
        name = source.path.parent.name if source.path.name == "conversation.jsonl" else source.path.stem
        self._id = text(name) or "unknown"
        self._session = session_key(ID, self._id)
        made = _DATED.match(self._id)
        self._made = made.group() if made else ""
        self._started: int | None = None
        self._project: str | None = None
        self._title: str | None = None
        self.parsed = Parsed()

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        self._read_config()
        self._started = None
        for path in (self._source.path, *self._copies()):
            is_answered = False
            for record in self._records(path):
                is_answered = self._message(record, is_answered)
                if len(self.parsed.messages) >= PIECE_MESSAGES:
                    yield self._piece()
        yield self._piece()

    def _piece(self) -> Parsed:
        parsed, self.parsed = self.parsed, Parsed()
        parsed.sessions.append(
            SessionRecord(
                key=self._session,
                harness=ID,
                session_id=self._id,
                started_at=self._started,
                project_path=self._project,
                title=self._title,
            )
        )
        return parsed

    def _copies(self) -> list[Path]:
        folders = [path for path in self._source.companions if path.suffix != ".toml"]
        return [path for folder in folders for path in self._files.list(folder) if path.suffix == ".jsonl"]

    def _records(self, path: Path) -> Iterator[dict[str, Any]]:
        """Messages of one file. It is rewritten in place, so it may be caught while it is short."""
        lines = (self._files.read(path) or b"").split(b"\n")
        if path == self._source.path and lines == [b""]:
            raise Unfinished("empty: it is being rewritten")
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            self.parsed.lines += 1
            try:
                record = json_text.decode(line)
            except UNREADABLE:
                if number == len(lines) - 1:
                    raise Unfinished("half-written JSON") from None
                record = None
            if isinstance(record, dict):
                yield record
            else:
                skip(self.parsed, MALFORMED)

    def _read_config(self) -> None:
        """The directory that the conversation works in, and its name."""
        path = next((path for path in self._source.companions if path.suffix == ".toml"), None)
        try:
            document = tomllib.loads((self._files.read(path) or b"").decode()) if path is not None else {}
        except (OSError, ValueError, RecursionError):
            return
        chat = document.get("chat")
        if isinstance(chat, dict):
            workspace = text(chat.get("workspace"), MAX_PATH)
            self._project = workspace if workspace and not workspace.startswith("@") else None
            self._title = text(chat.get("name"))

    def _message(self, record: dict[str, Any], is_answered: bool) -> bool:
        """Returns whether a message of the system that follows is the output of a tool."""
        role = record.get("role")
        if role not in ("system", "user", "assistant", "tool"):
            count_unknown(self.parsed, f"role/{role}" if isinstance(role, str) else None)
            return is_answered
        stamp, content = text(record.get("timestamp"), 64), record.get("content")
        at = local_micros(stamp)
        if self._started is None:
            self._started = at
        is_output = role == "tool" or (role == "system" and is_answered)
        size = len(content) if isinstance(content, str) else 0
        entry = MessageRecord(
            key=message_key(ID, stamp or self._id, role, size),
            session_key=self._session,
            harness=ID,
            at=at,
            role="tool" if is_output else role,
            kind="tool_result" if is_output else {"user": "prompt", "assistant": "answer"}.get(role, "meta"),
            size_chars=size,
            project_path=self._project,
            # Nothing is older than its conversation but what was copied from another.
            copy=1 if stamp is not None and stamp[:10] < self._made else 0,
            session_started=self._started or LATEST,
        )
        self.parsed.messages.append(entry)
        if role == "assistant":
            calls = _CALLS.findall(content) if isinstance(content, str) else []
            entry.tool_names = names(called or block for called, block in calls)
            self._answer(record.get("metadata"), stamp, entry)
        return role == "assistant" or is_output

    def _answer(self, metadata: Any, stamp: str | None, entry: MessageRecord) -> None:
        if not isinstance(metadata, dict):
            return
        entry.model = model = text(metadata.get("model"))
        nested = metadata.get("usage")
        # Older releases have the counters beside the model.
        fields = nested if isinstance(nested, dict) else {f: metadata[f] for f in _FIELDS if f in metadata}
        raw = numbers({**{f: fields[f] for f in _FIELDS if f in fields}, "cost": metadata.get("cost")})
        usage = read_usage(raw)
        if usage is None:
            if not is_placeholder(raw):
                self.parsed.answer(metered=False)
            return
        self.parsed.answer(metered=True)
        at, quality = time_of(entry.at, self._started, self._files, self._source.path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        vector = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens)
        identity = (stamp or self._id, "assistant", *vector)
        entry.event_key = event_key(ID, *identity)
        self.parsed.events.append(
            EventRecord(
                key=entry.event_key,
                session_key=self._session,
                harness=ID,
                at=at,
                time_quality=quality,
                provider=provider_of(model),
                model=model,
                project_path=self._project,
                **msgspec.structs.asdict(usage),
                reported_cost=cost(raw.get("cost")),
                reported_cost_unit="usd",
                reported_cost_status="estimated",
                copy=entry.copy,
                session_started=entry.session_started,
                identity=_encode(identity).decode(),
                raw_usage=_encode(raw),
            )
        )


def read_usage(raw: Any) -> Usage | None:
    """Input holds no cache: the producer subtracts it where a provider counts it in. None where nothing is reported."""
    if not isinstance(raw, dict):
        return None
    fresh, output, read, written, reasoning = (counter(raw.get(name)) for name in _FIELDS)
    if not (fresh or output or read or written):
        return None
    known = [part for part in (fresh, read, written) if part is not None]
    return Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        context_tokens=min(sum(known), MAX_COUNTER) if known else None,
        lower_bounds=BIT["context_tokens"] if known and len(known) < 3 else 0,
    )


def is_placeholder(raw: dict[str, Any]) -> bool:
    return counter(raw.get("input_tokens")) == 0 and counter(raw.get("output_tokens")) == 0


def of_raw(raw: bytes) -> Usage | None:
    try:
        return read_usage(msgspec.json.decode(raw))
    except UNREADABLE:
        return None
