"""One conversation of the editor: its bubbles become messages, their requests become events (formats/cursor.md)."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses.base import NO_TIME, skip
from trueup_agent.harnesses.cursor.usage import CONTEXT, INPUT, OUTPUT, in_dollars, kept, of_bubble
from trueup_agent.harnesses.editors import path_of_uri
from trueup_agent.harnesses.json_text import objects
from trueup_agent.harnesses.values import MAX_PATH, cost, epoch, micros, text
from trueup_agent.records import SERIES, EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

ID = "cursor"
USER, ASSISTANT = 1, 2
_NO_MODEL = {"default", "auto"}  # the server chose, and does not say
_LAST = 1 << 62
_encode = msgspec.json.Encoder().encode


class Request(Struct):
    """Bubbles of one request: one of them bears its counters, if any does."""

    identity: tuple[str, ...]
    at: int | None
    model: str | None = None
    counters: dict[str, int] = {}
    key: bytes = b""


class Conversation:
    """Collects the bubbles of one composer, then writes its records."""

    def __init__(self, id_: str, said: dict[str, Any]) -> None:
        self.id, self._said = id_, said
        self._bubbles: dict[str, dict[str, Any]] = {}
        for bubble in objects(said.get("conversation")):  # before bubbles had keys of their own
            self.add(text(bubble.get("bubbleId")) or f"#{len(self._bubbles)}", bubble)

    def add(self, bubble_id: str, bubble: dict[str, Any]) -> None:
        self._bubbles[bubble_id] = bubble

    def write(self, parsed: Parsed, folder: str | None, modified_at: Callable[[], int | None]) -> None:
        said, order = self._said, self._in_order()
        started_at = _time(said.get("createdAt"))
        if started_at is None:
            started_at = min((at for _, bubble in order if (at := _time(bubble.get("createdAt")))), default=None)
        project = folder or next((path for _, bubble in order if (path := _folder(bubble))), None)
        session = SessionRecord(
            key=keys.session_key(ID, self.id),
            harness=ID,
            session_id=text(self.id) or "unknown",
            started_at=started_at,
            project_path=project,
            title=text(said.get("name")),
        )
        requests = self._requests(order)
        records = _Records(session, parsed)
        records.messages(order, requests)
        self._gauge(list(requests.values()))
        fallback = started_at if started_at is not None or not requests else modified_at()
        for request in requests.values():
            records.event(request, fallback, 2 if started_at is not None else 3)
        records.costs(said.get("usageData"), _time(said.get("lastUpdatedAt")) or started_at)
        if order:
            parsed.sessions.append(session)
            parsed.sessions += _children(session, said.get("subComposerIds"))

    def _in_order(self) -> list[tuple[str, dict[str, Any]]]:
        """As the conversation lists them; what it does not list, by time."""
        headers = objects(self._said.get("fullConversationHeadersOnly"))
        place = {
            header.get("bubbleId"): n for n, header in enumerate(headers) if isinstance(header.get("bubbleId"), str)
        }
        return sorted(
            self._bubbles.items(), key=lambda b: (place.get(b[0], _LAST), _time(b[1].get("createdAt")) or _LAST, b[0])
        )

    def _requests(self, order: list[tuple[str, dict[str, Any]]]) -> dict[tuple[str, ...], Request]:
        """Requests by identity. A bubble without a request id is one only if it bears counters."""
        config = self._said.get("modelConfig")
        default = _model(config.get("modelName")) if isinstance(config, dict) else None
        found: dict[tuple[str, ...], Request] = {}
        for bubble_id, bubble in order:
            if bubble.get("type") != ASSISTANT:
                continue
            counters = {name: n for name, n in kept(bubble.get("tokenCount"), (INPUT, OUTPUT)).items() if n}
            request_id = text(bubble.get("requestId"))
            if request_id is None and not counters:
                continue
            identity = (request_id,) if request_id is not None else (self.id, bubble_id)
            at, info = _time(bubble.get("createdAt")), bubble.get("modelInfo")
            request = found.setdefault(identity, Request(identity, at))
            if at is not None and (request.at is None or at < request.at):
                request.at = at
            model = _model(info.get("modelName")) if isinstance(info, dict) else None
            request.model = request.model or model
            request.counters = {
                n: max(counters.get(n, 0), request.counters.get(n, 0)) for n in counters | request.counters
            }
        for request in found.values():
            request.model = request.model or default
            request.key = keys.event_key(ID, *request.identity)
        return found

    def _gauge(self, requests: list[Request]) -> None:
        """How full the context is now: a sample that goes with the last request."""
        breakdown = self._said.get("promptTokenBreakdown")
        used = breakdown.get("totalUsedTokens") if isinstance(breakdown, dict) else None
        sample = kept({CONTEXT: self._said.get(CONTEXT)}, (CONTEXT,)) or kept({CONTEXT: used}, (CONTEXT,))
        if requests and sample.get(CONTEXT):
            requests[-1].counters |= sample


class _Records:
    """Writes what belongs to one session."""

    def __init__(self, session: SessionRecord, parsed: Parsed) -> None:
        self._session, self._parsed = session, parsed
        self._started = session.started_at or 0

    def messages(self, order: list[tuple[str, dict[str, Any]]], requests: dict[tuple[str, ...], Request]) -> None:
        """A copied conversation has bubbles of other names for the same requests. Within one request the place tells
        them apart: texts change while they are written. A checkpoint that was restored says the same once more."""
        counted: dict[tuple[str, object], int] = {}
        said_before: set[tuple[str, object, bytes]] = set()
        for bubble_id, bubble in order:
            kind, request_id, tool = bubble.get("type"), text(bubble.get("requestId")), bubble.get("toolFormerData")
            if kind not in (USER, ASSISTANT):
                continue
            tool = tool if isinstance(tool, dict) else {}
            words = said if isinstance(said := bubble.get("text"), str) else ""
            identity: tuple[str | int, ...] = (self._session.session_id, bubble_id)
            if request_id is not None:
                print_of_text = (request_id, kind, blake2b(words.encode("utf-8", "replace"), digest_size=16).digest())
                if words and print_of_text in said_before:
                    continue
                said_before.add(print_of_text)
                if call := text(tool.get("toolCallId")):
                    identity = (request_id, kind, call)
                else:
                    nth = counted.get((request_id, kind), 0)
                    counted[request_id, kind] = nth + 1
                    identity = (request_id, kind, nth)
            request = requests.get((request_id or "",)) or requests.get((self._session.session_id, bubble_id))
            name = text(tool.get("name"))
            self._parsed.messages.append(
                MessageRecord(
                    key=keys.message_key(ID, *identity),
                    session_key=self._session.key,
                    harness=ID,
                    at=_time(bubble.get("createdAt")),
                    role="user" if kind == USER else "assistant",
                    kind="prompt" if kind == USER else "answer",
                    model=request.model if request is not None and kind == ASSISTANT else None,
                    tool_names=[name] if name else None,
                    size_chars=len(words),
                    event_key=request.key if request is not None and kind == ASSISTANT else None,
                    project_path=self._session.project_path,
                    session_started=self._started,
                )
            )

    def event(self, request: Request, fallback: int | None, quality: int) -> None:
        at = request.at if request.at is not None else fallback
        if at is None:
            skip(self._parsed, NO_TIME)
            return
        self._parsed.events.append(
            EventRecord(
                key=request.key,
                session_key=self._session.key,
                harness=ID,
                at=at,
                time_quality=1 if request.at is not None else quality,
                model=request.model,
                project_path=self._session.project_path,
                session_started=self._started,
                identity=_encode(request.identity).decode(),
                raw_usage=_encode(request.counters),
                **msgspec.structs.asdict(of_bubble(request.counters)),
            )
        )

    def costs(self, usage_data: Any, at: int | None) -> None:
        """Old builds add up cents per model of a conversation."""
        for model, said in usage_data.items() if isinstance(usage_data, dict) else ():
            cents = said.get("costInCents") if isinstance(said, dict) else None
            dollars = in_dollars(cost(cents))
            if dollars in (None, "0"):
                continue
            if at is None:
                skip(self._parsed, NO_TIME)
                continue
            session_id, name = self._session.session_id, text(model) or ""
            series = keys.series_key(ID, f"{session_id} {name}")
            identity = (session_id, "usageData", name, dollars)
            self._parsed.events.append(
                EventRecord(
                    key=keys.event_key(ID, *identity),
                    session_key=self._session.key,
                    harness=ID,
                    at=at,
                    time_quality=2,
                    model=_model(name),
                    project_path=self._session.project_path,
                    reported_cost=dollars,
                    reported_cost_unit="usd",
                    reported_cost_status="reported",
                    owner_key=series,
                    family=series,
                    rule=SERIES,
                    session_started=self._started,
                    identity=_encode(identity).decode(),
                )
            )


def _children(session: SessionRecord, ids: Any) -> list[SessionRecord]:
    children = [id_ for one in ids if (id_ := text(one))] if isinstance(ids, list) else []
    return [
        SessionRecord(
            key=keys.session_key(ID, id_),
            harness=ID,
            session_id=id_,
            parent_key=session.key,
            relationship="subagent",
        )
        for id_ in children
    ]


def _time(value: Any) -> int | None:
    """ISO text in bubbles, milliseconds in conversations."""
    at = micros(value)
    return at if at is not None else epoch(value, 1000)


def _model(value: Any) -> str | None:
    model = text(value)
    return None if model in _NO_MODEL else model


def _folder(bubble: dict[str, Any]) -> str | None:
    uris = bubble.get("workspaceUris")
    first = uris[0] if isinstance(uris, list) and uris else None
    return text(path_of_uri(first.get("path") if isinstance(first, dict) else first), MAX_PATH)
