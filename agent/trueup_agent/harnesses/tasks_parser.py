"""Parser of a task's list of messages, as Cline and its forks keep it (formats/cline.md, Task format).

The list is what the user sees: a request, what it said and did, the next request. A request has no id: its time names
it, and its place among those of the same time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text, tasks_usage
from trueup_agent.harnesses.base import (
    MALFORMED,
    NO_TIME,
    UNCERTAIN,
    Files,
    SourceFile,
    count_unknown,
    skip,
)
from trueup_agent.harnesses.tasks import OLD_UI_MESSAGES, UI_MESSAGES
from trueup_agent.harnesses.tasks_entries import ANSWERS, ERRORS, KNOWN, PROMPTS, STARTED, Entry, entries_of, tool_of
from trueup_agent.harnesses.tasks_facts import UNKNOWN, Model, read_facts
from trueup_agent.harnesses.values import amount, counter, epoch, text
from trueup_agent.records import DELETIONS, EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

MAX_TOOLS = 256
_PIECE = 2000
_encode = msgspec.json.Encoder().encode


class TaskFormat(Struct, frozen=True):
    """How a fork differs. `store` goes into keys and session ids where a harness has two stores of tasks."""

    harness: str
    late_is_inclusive: bool  # late versions count what came from the cache in `tokensIn`
    store: str | None = None


class _Answer(Struct):
    """The request whose entries are being read."""

    entry: Entry
    model: Model
    event_key: bytes
    size: int = 0
    tools: list[str] = []


class TaskParser:
    """`base.WholeParser` for one task."""

    def __init__(self, source: SourceFile, form: TaskFormat, files: Files) -> None:
        self._path, self._form, self._files = source.path, form, files
        is_named = source.path.name in (UI_MESSAGES, OLD_UI_MESSAGES)
        task = source.path.parent.name if is_named else source.path.stem
        self._task = text(task) or "task"
        self._session_id = self._task if form.store is None else f"{form.store}:{self._task}"
        self._session_key = keys.session_key(form.harness, self._session_id)
        self._family = keys.key("family", form.harness, self._session_id)
        self._parsed = Parsed()
        self._ordinals: dict[tuple[str, int | None], int] = {}
        self._answer: _Answer | None = None

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        document = json_text.read_document(self._files, self._path)
        self._parsed = parsed = Parsed()
        if not isinstance(document, list):
            parsed.lines += 1
            skip(parsed, MALFORMED)
            yield parsed
            return
        self._facts = read_facts(self._path.parent, self._files)
        entries = entries_of(document, parsed)
        self._begin(entries)
        for entry in entries:
            self._take(entry)
            if len(self._parsed.messages) >= _PIECE:
                yield self._parsed
                self._parsed = Parsed()
        self._finish_answer()
        yield self._parsed

    def _begin(self, entries: list[Entry]) -> None:
        self._ordinals, self._answer = {}, None
        self._started = next((entry.at for entry in entries if entry.at is not None), None)
        if self._started is None:
            self._started = epoch(self._task, 1000)  # Cline names tasks after their time
        self._file_time = self._files.modified_at(self._path) if self._started is None else None
        self._requests_left = sum(1 for entry in entries if entry.kind == STARTED)
        self._has_begun = False
        self._previous_at: int | None = None
        facts, form = self._facts, self._form
        if not entries:
            return
        parent = None
        if facts.parent is not None and facts.parent != self._task:
            parent = facts.parent if form.store is None else f"{form.store}:{facts.parent}"
        self._parsed.sessions.append(
            SessionRecord(
                key=self._session_key,
                harness=form.harness,
                session_id=self._session_id,
                parent_key=keys.session_key(form.harness, parent) if parent else None,
                relationship="subagent" if parent else None,
                started_at=self._started,
                project_path=facts.cwd,
                harness_version=facts.version,
            )
        )

    def _take(self, entry: Entry) -> None:
        kind = entry.kind
        if kind == STARTED:
            self._finish_answer()
            self._requests_left -= 1
            self._request(entry)
        elif kind == tasks_usage.DELETED:
            self._aggregate(entry, rank=1)
        elif kind == tasks_usage.SUBAGENTS:
            self._aggregate(entry, rank=0)
        elif kind == tasks_usage.CONDENSED:
            self._condensed(entry)
        elif kind in PROMPTS or (kind == "text" and entry.is_say and not self._has_begun):
            self._finish_answer()
            self._add_message(entry, "user", "prompt", len(entry.text))
        elif kind in ERRORS:
            self._add_message(entry, "system", "error", len(entry.text))
        elif (tool := tool_of(entry)) is not None:
            self._tool(entry, tool)
        elif kind in ANSWERS:
            if self._answer is not None:
                self._answer.size += len(entry.text)
        elif kind not in KNOWN:
            count_unknown(self._parsed, kind)
        self._previous_at = entry.at if entry.at is not None else self._previous_at

    def _request(self, entry: Entry) -> None:
        self._has_begun = True
        model = entry.model if entry.model.model is not None else self._facts.model_at(entry.at)
        identity = self._identity(entry)
        event_key = keys.event_key(self._form.harness, *identity)
        self._answer = _Answer(entry, model, event_key)
        if entry.info is None:
            if entry.text:
                skip(self._parsed, MALFORMED)
            return
        raw = tasks_usage.kept(entry.info, entry.ts, new_item=self._facts.new_item)
        counted = self._event(entry, raw, identity, model, rank=0)
        if counted:
            self._parsed.answer(metered=True)
        elif self._requests_left and tasks_usage.lacks_usage(raw):
            self._parsed.answer(metered=False)  # another request came after it, so it is no longer under way

    def _aggregate(self, entry: Entry, rank: int) -> None:
        """Requests in one sum: those that were deleted, those of subagents in the same process."""
        if entry.info is None:
            skip(self._parsed, MALFORMED)
            return
        raw = tasks_usage.kept(entry.info, entry.ts, say=entry.kind)
        # The entry before is the one that was gone back to: what was deleted came after it.
        since = self._previous_at if rank else None
        self._event(entry, raw, self._identity(entry, entry.kind), entry.model if not rank else UNKNOWN, rank, since)

    def _condensed(self, entry: Entry) -> None:
        """A summary by the model: its cost is known, its tokens are not."""
        self._add_message(entry, "assistant", "summary", len(entry.text))
        if not entry.partial:
            raw = tasks_usage.kept({"cost": entry.condensed.get("cost")}, entry.ts, say=entry.kind)
            self._event(entry, raw, self._identity(entry, entry.kind), self._facts.model_at(entry.at), rank=0)

    def _tool(self, entry: Entry, tool: str) -> None:
        if entry.partial:
            return
        answer = self._answer
        if answer is not None and len(answer.tools) < MAX_TOOLS:
            answer.tools.append(tool)
        applied = entry.info.get("fastApplyResult") if entry.info else None
        if isinstance(applied, Mapping):
            raw = tasks_usage.kept(applied, entry.ts, say=tasks_usage.FAST_APPLY)
            self._event(entry, raw, self._identity(entry, tasks_usage.FAST_APPLY), UNKNOWN, rank=0)

    def _identity(self, entry: Entry, kind: str | None = None) -> list[str | int | None]:
        """(task, time, place among equal times), with the kind for what is no request."""
        place = (kind or "", entry.ts)
        ordinal = self._ordinals[place] = self._ordinals.get(place, -1) + 1
        named = [] if kind is None else [kind]
        return [self._session_id, *named, entry.ts, ordinal]

    def _event(
        self,
        entry: Entry,
        raw: dict[str, Any],
        identity: list[str | int | None],
        model: Model,
        rank: int,
        since: int | None = None,
    ) -> bool:
        """An event where the entry says anything of usage or cost. Was there any?"""
        request = tasks_usage.read(raw, self._form.late_is_inclusive, *model)
        cost = tasks_usage.cost_of(raw)
        reported = None if cost is None else amount(cost)
        is_paid = reported is not None and reported != "0"
        if not request.usage.reported() and not is_paid and raw.get("usageMissing") is not True:
            return False
        at, quality = self._time(entry)
        if at is None:
            skip(self._parsed, NO_TIME)
            return False
        if request.uncertain:
            skip(self._parsed, UNCERTAIN)
        if any(counter(raw[name]) is None for name in tasks_usage.COUNTERS if name in raw):
            skip(self._parsed, MALFORMED)
        self._parsed.events.append(
            EventRecord(
                key=keys.event_key(self._form.harness, *identity),
                session_key=self._session_key,
                harness=self._form.harness,
                at=at,
                time_quality=quality,
                provider=model.provider,
                model=model.model,
                project_path=self._facts.cwd,
                **msgspec.structs.asdict(request.usage),
                reported_cost=reported,
                reported_cost_unit="usd" if reported is not None else None,
                reported_cost_status=tasks_usage.cost_status(model.provider) if reported is not None else None,
                family=self._family if not self._form.late_is_inclusive else None,
                rule=DELETIONS if not self._form.late_is_inclusive else None,
                rank=rank,
                since=since,
                session_started=self._started or 0,
                identity=_encode(identity).decode(),
                raw_usage=_encode(raw),
            )
        )
        return request.usage.reported()

    def _time(self, entry: Entry) -> tuple[int | None, int]:
        if entry.at is not None:
            return entry.at, 1
        return (self._started, 2) if self._started is not None else (self._file_time, 3)

    def _finish_answer(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._add_message(answer.entry, "assistant", "answer", answer.size, answer)

    def _add_message(self, entry: Entry, role: str, kind: str, size: int, answer: _Answer | None = None) -> None:
        place = ("message", entry.ts)
        ordinal = self._ordinals[place] = self._ordinals.get(place, -1) + 1
        self._parsed.messages.append(
            MessageRecord(
                key=keys.message_key(self._form.harness, self._session_id, entry.ts, ordinal),
                session_key=self._session_key,
                harness=self._form.harness,
                at=self._time(entry)[0],
                role=role,
                kind=kind,
                model=answer.model.model if answer else None,
                tool_names=answer.tools or None if answer else None,
                size_chars=size,
                event_key=answer.event_key if answer else None,
                project_path=self._facts.cwd,
                session_started=self._started or 0,
            )
        )
