"""From a session, its messages and their parts to records, wherever they are stored (formats/opencode.md)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from trueup_agent.harnesses.base import NO_IDENTITY, NO_TIME, Usage, count_unknown, skip
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.json_text import object_at
from trueup_agent.harnesses.opencode.usage import names_counters, of_tokens, raw_usage, tokens_of
from trueup_agent.harnesses.values import amount, counter, epoch, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_PART_TYPES = {
    "text", "reasoning", "tool", "file", "agent", "step-start", "step-finish", "snapshot", "patch", "retry",
    "compaction", "subtask",
}  # fmt: skip
_ROLES = {"user": "user", "assistant": "assistant", "model": "assistant"}
_CLOCK_SLACK = 60_000_000  # a part's row is written moments after what it tells of

Json = dict[str, Any]
# What the tasks of a message cost that its own cost contains; None: not to be had.
ChildCosts = Callable[[str, Sequence[Json]], Decimal | None]


class Part(NamedTuple):
    data: Json
    stored_at: int | None = None  # microseconds: of its row


class Session(NamedTuple):
    id: str
    parent: str | None = None
    directory: str | None = None
    title: str | None = None
    version: str | None = None
    started_at: int | None = None


class Request(NamedTuple):
    """One request of a message: its only one, or one step of several."""

    ordinal: int
    at: int | None
    provider: str | None
    model: str | None
    tokens: Mapping[str, Any] | None  # of `tokens_of`
    cost: str | None
    raw_cost: Any
    is_step: bool


def session_of(info: Json, fallback_id: str | None = None) -> Session | None:
    """Of a session's JSON as export and tree have it."""
    id_ = text(info.get("id")) or fallback_id
    if id_ is None:
        return None
    return Session(
        id_,
        text(info.get("parentID")),
        text(info.get("directory")),
        text(info.get("title")),
        text(info.get("version")),
        epoch(object_at(info, "time").get("created"), 1000),
    )


class Conversation:
    """Turns entries of sessions into records. `modified_at`: of the file, for entries that bear no time."""

    def __init__(self, harness: str, modified_at: int | None, child_costs: ChildCosts | None = None) -> None:
        self.parsed = Parsed()
        self._harness = harness
        self._modified_at = modified_at
        self._child_costs = child_costs

    def take(self) -> Parsed:
        parsed, self.parsed = self.parsed, Parsed()
        return parsed

    def session(self, session: Session) -> None:
        self.parsed.sessions.append(
            SessionRecord(
                key=keys.session_key(self._harness, session.id),
                harness=self._harness,
                session_id=session.id,
                parent_key=keys.session_key(self._harness, session.parent) if session.parent else None,
                relationship="subagent" if session.parent else None,
                started_at=session.started_at,
                project_path=session.directory,
                harness_version=session.version,
                title=session.title,
            )
        )

    def message(self, session: Session, info: Json, parts: Sequence[Part]) -> None:
        """`parts` in the order of their ids."""
        message_id, role = text(info.get("id")), info.get("role")
        self.parsed.lines += 1 + len(parts)
        for part in parts:
            if text(part.data.get("type")) not in _PART_TYPES:
                count_unknown(self.parsed, part.data.get("type"))
        if not isinstance(role, str) or role not in _ROLES:
            return count_unknown(self.parsed, role)
        if message_id is None:
            return skip(self.parsed, NO_IDENTITY)
        created = epoch(object_at(info, "time").get("created"), 1000)
        path = _directory(info, session)
        event_keys = []
        if _ROLES[role] == "assistant":
            event_keys = [event.key for event in self._events(session, message_id, info, parts, path)]
        record = MessageRecord(
            key=keys.message_key(self._harness, message_id),
            session_key=keys.session_key(self._harness, session.id),
            harness=self._harness,
            at=created,
            role=_ROLES[role],
            kind=_kind(_ROLES[role], info, parts),
            model=text(info.get("modelID")) if _ROLES[role] == "assistant" else None,
            tool_names=_tools(parts),
            size_chars=sum(_length(part.data) for part in parts),
            event_key=event_keys[0] if event_keys else None,
            project_path=path,
            session_started=session.started_at or created or 0,
        )
        self.parsed.messages.append(record)
        return None

    def _events(
        self, session: Session, message_id: str, info: Json, parts: Sequence[Part], path: str | None
    ) -> Iterator[EventRecord]:
        created, completed = (epoch(object_at(info, "time").get(name), 1000) for name in ("created", "completed"))
        failed = info.get("error") is not None
        twins: dict[tuple[int | None, ...], int] = {}
        for request in self._requests(session, info, parts, created, completed):
            tokens = request.tokens
            usage = of_tokens(tokens, request.provider, request.model) if tokens is not None else Usage()
            finished = request.is_step or (completed is not None and not failed)
            if usage.reported():
                self.parsed.answer(metered=True)
            elif not finished:
                continue  # under way, or aborted before the provider said anything
            elif not names_counters(tokens):
                self.parsed.answer(metered=False)
            elif not request.is_step and text(info.get("finish")) is None:
                continue  # it ended without an answer: nothing says that there was a request
            at, quality = self._time(request.at, session)
            if at is None:
                skip(self.parsed, NO_TIME)
                continue
            family = None
            if usage.reported() and completed is not None:
                family = self._family(request, created, completed, twins)
            identity = (message_id, request.ordinal)
            status = None
            if request.cost is not None:
                status = "included" if request.cost == "0" else _cost_status(request.provider)
            event = EventRecord(
                key=keys.event_key(self._harness, *identity),
                session_key=keys.session_key(self._harness, session.id),
                harness=self._harness,
                at=at,
                time_quality=quality,
                provider=request.provider,
                model=request.model,
                project_path=path,
                **msgspec.structs.asdict(usage),
                reported_cost=request.cost,
                reported_cost_unit="usd",
                reported_cost_status=status,
                family=family,
                rank=1,  # also while no family is known yet: joined later, it must not outrank its copies
                session_started=session.started_at or created or 0,
                identity=msgspec.json.encode(identity).decode(),
                raw_usage=raw_usage(request.tokens, request.raw_cost),
            )
            self.parsed.events.append(event)
            yield event

    def _requests(
        self, session: Session, info: Json, parts: Sequence[Part], created: int | None, completed: int | None
    ) -> Iterator[Request]:
        """Each step replaces the message's tokens and adds to its cost: several steps are told apart by their parts."""
        provider, model = text(info.get("providerID")), text(info.get("modelID"))
        steps = [i for i, part in enumerate(parts) if part.data.get("type") == "step-finish"]
        if not steps:
            cost = self._message_cost(session, info, parts)
            yield Request(0, created, provider, model, tokens_of(info), cost, info.get("cost"), False)
        begin, at = 0, created
        for ordinal, end in enumerate(steps):
            step = parts[end].data
            tokens = tokens_of(step)
            if len(steps) == 1 and not (tokens and of_tokens(tokens, provider, model).reported()):
                tokens = tokens_of(info) or tokens
            cost, raw_cost = _amount(step.get("cost")), step.get("cost")
            if len(steps) == 1 and cost is None:
                cost, raw_cost = self._message_cost(session, info, parts), info.get("cost")
            if ordinal:
                at = _step_time(parts[begin : end + 1], created, completed) or at
            chosen = object_at(step, "model")
            yield Request(
                ordinal, at, text(chosen.get("providerID")) or provider, text(chosen.get("modelID")) or model,
                tokens, cost, raw_cost, True,
            )  # fmt: skip
            begin = end + 1

    def _message_cost(self, session: Session, info: Json, parts: Sequence[Part]) -> str | None:
        """Of a message without steps. A step's own cost never contains that of tasks."""
        tasks = [part.data for part in parts if part.data.get("type") == "tool" and part.data.get("tool") == "task"]
        if self._child_costs is None or not tasks:
            return _amount(info.get("cost"))
        own, children = _amount(info.get("cost")), self._child_costs(session.id, tasks)
        if own is None or children is None or Decimal(own) < children:
            return None
        return format((Decimal(own) - children).normalize(), "f")

    def _time(self, at: int | None, session: Session) -> tuple[int | None, int]:
        if at is not None:
            return at, 1
        return (session.started_at, 2) if session.started_at is not None else (self._modified_at, 3)

    def _family(
        self, request: Request, created: int | None, completed: int, twins: dict[tuple[int | None, ...], int]
    ) -> bytes:
        """Forks copy messages under new ids: all but these and, in Kilo, the cost is the same. So do migrations, which
        leave one step of several: `twins` counts equal steps of a message instead of their places."""
        tokens = request.tokens or {}
        cache = object_at(tokens, "cache")
        counts = [tokens.get(name) for name in ("input", "output", "reasoning")]
        vector = tuple(map(counter, [*counts, cache.get("read"), cache.get("write")]))
        nth = twins[vector] = twins.get(vector, -1) + 1
        return keys.key("family", self._harness, created, completed, request.provider, request.model, nth, *vector)


def _amount(value: Any) -> str | None:
    """Very old messages have an object here."""
    return amount(value) if type(value) in (int, float) and math.isfinite(value) else None


def _cost_status(provider: str | None) -> str:
    """Kilo's gateway says what it charged; else the producer computes it from list prices."""
    return "reported" if provider == "kilo" else "estimated"


def _directory(info: Json, session: Session) -> str | None:
    """Outside of a repository the root is `/`, and very old messages have no path or a bare one."""
    cwd = text(object_at(info, "path").get("cwd"))
    return session.directory if session.directory and cwd in (None, "/") else cwd


def _kind(role: str, info: Json, parts: Sequence[Part]) -> str:
    """Without parts a user's message is one whose text is not written yet."""
    if role == "assistant":
        return "summary" if info.get("summary") is True else "answer"
    typed = (part for part in parts if part.data.get("type") == "text" and part.data.get("synthetic") is not True)
    return "prompt" if not parts or any(typed) else "meta"


def _tools(parts: Sequence[Part]) -> list[str] | None:
    return names(part.data.get("tool") for part in parts if part.data.get("type") == "tool")


def _length(part: Json) -> int:
    value = part.get("text") if part.get("type") in ("text", "reasoning") else None
    return len(value) if isinstance(value, str) else 0


def _step_time(step: Sequence[Part], created: int | None, completed: int | None) -> int | None:
    """When a later step ended: with the last thing that it did, else as its row says, unless that was copied later."""
    ends = []
    for part in step:
        for clock in (part.data.get("time"), object_at(part.data, "state").get("time")):
            ends += [epoch(object_at(clock).get(name), 1000) for name in ("start", "end")]
    last = max((end for end in ends if end is not None), default=None)
    stored_at = step[-1].stored_at
    if last is None and stored_at and (created or 0) <= stored_at <= (completed or stored_at) + _CLOCK_SLACK:
        return stored_at
    return last
