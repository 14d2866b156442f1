"""Reads one chat of Codebuff. Rules: formats/codebuff.md."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import (
    CONTRADICTORY,
    MALFORMED,
    NO_TIME,
    Files,
    SourceFile,
    Unfinished,
    Usage,
    count_unknown,
    skip,
)
from trueup_agent.harnesses.codebuff.usage import of_object
from trueup_agent.harnesses.content import names, numbers, text_size
from trueup_agent.harnesses.inclusive import contradicts
from trueup_agent.harnesses.json_text import decode_document, object_at
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.series import observation
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

_ROLES = {
    "user": ("user", "prompt"),
    "ai": ("assistant", "answer"),
    "agent": ("assistant", "answer"),
    "error": ("system", "error"),
}
_FOLDER_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d(?:\.\d+)?Z)$")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?\s*(?:([AaPp])\.?[Mm]\.?)?$")
_DAY = 24 * 3600
_MAX_DEPTH = 8  # of agents that agents started
_encode = msgspec.json.Encoder().encode


class ChatParser:
    """`base.WholeParser` for one chat's folder."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files
        path = source.path
        chat, project = path.parent, path.parent.parent.parent
        # The folders name a chat; nothing in it does.
        self._place = (project.parent.parent.name, project.name, chat.name)
        self._id = values.text("/".join(self._place)) or "unknown"
        self._begun = _folder_time(chat.name)

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed()
        try:
            messages = decode_document(self._files.read(self._source.path) or b"")
        except UNREADABLE:
            messages = None
        run_state, meta = (self._companion(number) for number in (0, 1))
        if not isinstance(messages, list):
            skip(parsed, MALFORMED)
            messages = []
        if messages:
            self._chat(messages, object_at(run_state, "sessionState"), meta, parsed)
        yield parsed

    def _companion(self, number: int) -> dict[str, Any]:
        try:
            document = decode_document(self._files.read(self._source.companions[number]) or b"{}")
        except (*UNREADABLE, Unfinished):
            return {}
        return document if isinstance(document, dict) else {}

    def _chat(self, messages: list[Any], state: dict[str, Any], meta: dict[str, Any], parsed: Parsed) -> None:
        project = values.text(object_at(state, "fileContext").get("cwd"), values.MAX_PATH)
        parsed.sessions.append(
            SessionRecord(
                key=session_key("codebuff", self._id),
                harness="codebuff",
                # Without the project: policy says whether that leaves the machine.
                session_id=values.text(self._place[-1]) or "unknown",
                started_at=self._begun,
                project_path=project,
                title=values.text(meta.get("title")) or values.text(meta.get("name")),
            )
        )
        clock, told = _Clock(self._begun), set[tuple[int | None, ...]]()
        billed: list[float | None] = []  # credits of each finished answer
        last: int | None = None
        for number, message in enumerate(messages):
            parsed.lines += 1
            if not isinstance(message, dict) or not isinstance(message.get("variant"), str):
                skip(parsed, MALFORMED)
                continue
            if message["variant"] not in _ROLES:
                count_unknown(parsed, message["variant"])
                continue
            at, quality = clock.read(message.get("timestamp"))
            if at is None:
                at, quality = self._files.modified_at(self._source.path), 3
            last = at or last
            shared = {"project_path": project, "session_started": self._begun or 0}
            id_ = values.text(message.get("id")) or str(number)
            record = self._event(id_, message, (at, quality), shared, told, parsed)
            if record is not None:
                billed.append(_credits(message))
            parsed.messages.append(self._message(id_, message, at if quality < 3 else None, record, shared))
        if not any(isinstance(message, dict) and message.get("isComplete") is False for message in messages):
            self._remainder(object_at(state, "mainAgentState").get("creditsUsed"), billed, last, parsed)

    def _event(
        self,
        id_: str,
        message: dict[str, Any],
        when: tuple[int | None, int],
        shared: dict[str, Any],
        told: set[tuple[int | None, ...]],
        parsed: Parsed,
    ) -> EventRecord | None:
        """An answer, once it is finished: until then its credits grow."""
        if _ROLES[message["variant"]][1] != "answer" or message.get("isComplete") is False:
            return None
        at, quality = when
        if at is None:
            skip(parsed, NO_TIME)
            return None
        logged, model = _usage_of(message)
        usage = of_object(logged)
        vector = (usage.input_tokens, usage.input_undivided_tokens, usage.cache_read_tokens, usage.output_tokens)
        if usage.reported() and vector in told:
            logged, usage = {}, Usage()  # what an earlier message told, in the history that came along
        told.add(vector)
        if contradicts(usage.context_tokens, usage):
            skip(parsed, CONTRADICTORY)
        credits = _credits(message)
        identity = (*self._place, id_)
        record = EventRecord(
            key=event_key("codebuff", *identity),
            session_key=session_key("codebuff", self._id),
            harness="codebuff",
            at=at,
            time_quality=quality,
            model=model,
            identity=_encode(identity).decode(),
            raw_usage=_encode({"usage": numbers(logged)}),
            **msgspec.structs.asdict(usage),
            **shared,
            **_money(credits),
        )
        parsed.events.append(record)
        return record

    def _remainder(self, total: Any, billed: list[float | None], at: int | None, parsed: Parsed) -> None:
        """What the chat cost beyond what its answers did: all of it where they do not say."""
        if type(total) not in (int, float) or not 0 <= total < values.MAX_AMOUNT or at is None:
            return
        known = [credits for credits in billed if credits is not None]
        rest = round(total - sum(known), 6)
        if rest <= 0 or (known and len(known) < len(billed)):
            return  # or the last answer is yet to be billed
        parsed.events.append(
            observation(
                "codebuff",
                (self._id,),
                (values.amount(float(rest)),),
                Usage(),
                session_key=session_key("codebuff", self._id),
                at=at,
                time_quality=2,
                session_started=self._begun or at,
                raw_usage=_encode({"creditsUsed": total}),
                **_money(rest),
            )
        )

    def _message(
        self, id_: str, message: dict[str, Any], at: int | None, record: EventRecord | None, shared: dict[str, Any]
    ) -> MessageRecord:
        role, kind = _ROLES[message["variant"]]
        blocks = list(_blocks(message.get("blocks")))
        return MessageRecord(
            key=message_key("codebuff", *self._place, id_),
            session_key=session_key("codebuff", self._id),
            harness="codebuff",
            at=at,
            role=role,
            kind=kind,
            model=record.model if record is not None else None,
            tool_names=names(block.get("toolName") for block in blocks if block.get("type") == "tool"),
            size_chars=text_size(message.get("content"))
            + sum(text_size(block.get("content")) for block in blocks if block.get("type") == "text"),
            event_key=record.key if record is not None else None,
            **shared,
        )


class _Clock:
    """Times of messages. Where they show a time of day only, the first is the chat's, and each the next after the one
    before."""

    def __init__(self, begun: int | None) -> None:
        self._at, self._second = begun, None if begun is None else -1

    def read(self, timestamp: Any) -> tuple[int | None, int]:
        at = values.micros(timestamp) or values.epoch(timestamp, 1000)
        if at is not None:
            return at, 1
        match = _CLOCK.match(timestamp.strip()) if isinstance(timestamp, str) else None
        if match is not None and self._at is not None and self._second is not None:
            hour, minute, second, half = match.groups()
            hours = int(hour) % 12 + (12 if half in "Pp" else 0) if half else int(hour)
            now = (hours * 3600 + int(minute) * 60 + int(second or 0)) % _DAY
            passed = 0 if self._second < 0 else (now - self._second) % _DAY
            self._at, self._second = self._at + passed * 1_000_000, now
        return (self._at, 2) if self._at is not None and self._at < values.LATEST else (None, 3)


def _folder_time(name: str) -> int | None:
    match = _FOLDER_TIME.match(name)
    return values.micros(":".join(match.groups())) if match else None


def _usage_of(message: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """(usage object, model): of the message, else of the last answer in the history that it carries along."""
    metadata = object_at(message, "metadata")
    model = values.text(metadata.get("model"))
    for usage in (metadata.get("usage"), object_at(metadata, "codebuff").get("usage")):
        if isinstance(usage, dict):
            return usage, model
    history = object_at(metadata, "runState", "sessionState", "mainAgentState").get("messageHistory")
    for entry in reversed(history if isinstance(history, list) else []):
        if isinstance(entry, dict) and entry.get("role") == "assistant":
            options = object_at(entry, "providerOptions")
            inner = object_at(options, "codebuff")
            model = model or values.text(inner.get("model"))
            found = next((one for one in (options.get("usage"), inner.get("usage")) if isinstance(one, dict)), {})
            return found, model
    return {}, model


def _credits(message: dict[str, Any]) -> float | None:
    credits: Any = message.get("credits")
    return credits if type(credits) in (int, float) and 0 <= credits < values.MAX_AMOUNT else None


def _money(credits: float | None) -> dict[str, Any]:
    if credits is None:
        return {}
    told = values.amount(float(credits))
    return {"reported_cost": told, "reported_cost_unit": "credits", "reported_cost_status": "reported"}


def _blocks(blocks: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Of the message, and of the agents that it started, which are blocks of it."""
    for block in blocks if isinstance(blocks, list) and depth < _MAX_DEPTH else ():
        if isinstance(block, dict):
            yield block
            yield from _blocks(block.get("blocks"), depth + 1)
