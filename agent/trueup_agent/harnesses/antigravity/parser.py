"""Reads a conversation of Antigravity: its database, or its sidecar or transcript where there is none."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.antigravity import conversation_of
from trueup_agent.harnesses.antigravity.generations import Generation, earliest_time, of_row, of_sidecar
from trueup_agent.harnesses.antigravity.usage import is_plausible, of_counters
from trueup_agent.harnesses.base import IMPLAUSIBLE, MALFORMED, NO_TIME, Files, SourceFile, Unfinished, skip
from trueup_agent.harnesses.content import names, size_of
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.values import counter, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

ID = "antigravity"
USER_INPUT, PLANNER_RESPONSE = 14, 15

_PAGE = 500
_MAX_PAYLOAD = 1 << 20  # of a step, to find its time in
_GENERATIONS = "SELECT idx, data FROM gen_metadata WHERE idx > ? ORDER BY idx LIMIT ?"
_STEPS = (
    f"SELECT idx, step_type, CASE WHEN length(step_payload) <= {_MAX_PAYLOAD} THEN step_payload END"
    " FROM steps WHERE idx > ? ORDER BY idx LIMIT ?"
)
_SPOKEN = {"USER_INPUT": ("user", "prompt"), "PLANNER_RESPONSE": ("assistant", "answer")}
_encode = msgspec.json.Encoder().encode


class Said(Struct):
    """One step that is an entry of the conversation."""

    index: int
    at: int | None
    role: str
    kind: str
    size_chars: int | None = None
    tool_names: list[str] | None = None


class Conversation:
    """Collects steps and generations of one conversation, then writes its records."""

    def __init__(self, id_: str) -> None:
        self.id = text(id_) or "unknown"
        self.parsed = Parsed()
        self.times: dict[int, int] = {}  # of steps
        self.said: dict[int, Said] = {}
        self.generations: list[Generation] = []

    def step(self, said: Said | None, index: int, at: int | None) -> None:
        if at is not None:
            self.times[index] = min(at, self.times.get(index, at))
        if said is not None:
            self.said[index] = said

    def records(self, modified_at: int | None) -> Parsed:
        generated = [generation.at for generation in self.generations if generation.at is not None]
        started_at = min((*self.times.values(), *generated), default=None)
        key = keys.session_key(ID, self.id)
        for said in self.said.values():
            said.at = said.at if said.at is not None else self.times.get(said.index)
            self.parsed.messages.append(message(self.id, said, started_at))
        for number, generation in enumerate(self.generations):
            is_last = number == len(self.generations) - 1
            self._event(generation, is_last, key, started_at, modified_at)
        if self.parsed.messages or self.parsed.events:
            self.parsed.sessions.append(SessionRecord(key=key, harness=ID, session_id=self.id, started_at=started_at))
        return self.parsed

    def _event(
        self, generation: Generation, is_last: bool, session_key: bytes, started_at: int | None, modified_at: int | None
    ) -> None:
        usage = of_counters(generation.counters)
        if not usage.reported():
            if not is_last:  # the row of a generation under way comes before its usage
                self.parsed.answer(metered=False)
            return
        self.parsed.answer(metered=True)
        if not is_plausible(usage):
            skip(self.parsed, IMPLAUSIBLE)
            return
        of_steps = min((self.times[step] for step in generation.steps if step in self.times), default=None)
        times = ((generation.at, 1), (of_steps, 1), (started_at, 2), (modified_at, 3))
        at, quality = next(((at, quality) for at, quality in times if at is not None), (None, 3))
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        identity = generation.identity(self.id)
        self.parsed.events.append(
            EventRecord(
                key=keys.event_key(ID, *identity),
                session_key=session_key,
                harness=ID,
                at=at,
                time_quality=quality,
                model=generation.model,
                session_started=started_at or 0,
                identity=_encode(identity).decode(),
                raw_usage=_encode(generation.counters),
                **msgspec.structs.asdict(usage),
            )
        )


class Store:
    """`base.WholeParser` of a database. Rows are filled in after they were made, so that all are read each time."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        conversation = Conversation(conversation_of(self._source.path))
        parsed = conversation.parsed
        for row in self._rows("steps", _STEPS):
            index, kind, payload = row
            role = {USER_INPUT: "USER_INPUT", PLANNER_RESPONSE: "PLANNER_RESPONSE"}.get(kind)
            at = earliest_time(payload) if isinstance(payload, bytes) else None
            said = Said(index, at, *_SPOKEN[role]) if role is not None else None
            conversation.step(said, index, at)
            parsed.lines += 1
        for companion in self._source.companions:
            try:
                self._transcript(self._files.read(companion) or b"", conversation)
            except (OSError, Unfinished):
                continue  # it has no usage
        for index, data in self._rows("gen_metadata", _GENERATIONS):
            parsed.lines += 1
            generation = of_row(index, data) if isinstance(data, bytes) else None
            if generation is None:
                skip(parsed, MALFORMED)
            else:
                conversation.generations.append(generation)
        yield conversation.records(self._files.modified_at(self._source.path))

    def _rows(self, table: str, sql: str) -> Iterator[tuple[Any, ...]]:
        """Rows with an index that is a number, a page at a time."""
        database = self._files.database(self._source.path)
        needed = {"idx", "data"} if table == "gen_metadata" else {"idx", "step_type", "step_payload"}
        if not needed <= database.columns(table):
            return
        last = -1
        while page := database.rows(sql, (last, _PAGE)):
            for row in page:
                if type(row[0]) is not int:
                    return  # text sorts after all numbers
                if row[0] <= last:  # of a damaged file: it would never end
                    raise Unfinished("its rows are out of order")
                last = row[0]
                yield row

    def _transcript(self, content: bytes, conversation: Conversation) -> None:
        """Tells the same steps better: with times, sizes and tools."""
        for line in content.split(b"\n")[:-1]:
            try:
                step = json_text.decode(line) if line.strip() else None
            except json_text.UNREADABLE:
                step = None
            index = counter(step.get("step_index")) if isinstance(step, dict) else None
            if step is not None and index is not None:
                conversation.step(said_in(step, index), index, micros(step.get("created_at")))


class Sidecar:
    """`base.WholeParser` of a `.trajectory.json`."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        raw = self._files.read(self._source.path)
        if raw is None:
            return
        conversation = Conversation(conversation_of(self._source.path))
        try:
            said = json_text.decode_document(raw)
        except json_text.UNREADABLE:
            said = None
        trajectory = said.get("trajectory") if isinstance(said, dict) else None
        for holder in (said, trajectory):
            generations = holder.get("generatorMetadata") if isinstance(holder, dict) else None
            if isinstance(generations, list):
                break
        else:
            generations = [None]
        for index, one in enumerate(generations):
            conversation.parsed.lines += 1
            if isinstance(one, dict):
                conversation.generations += of_sidecar(index, one)
            else:
                skip(conversation.parsed, MALFORMED)
        yield conversation.records(self._files.modified_at(self._source.path))


class State(Struct, array_like=True):
    started_at: int | None = None
    entries: int = 0


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class Transcript(JsonLines):
    """`base.LineParser` of a `transcript.jsonl` whose database cannot be read or is gone."""

    def __init__(self, source: SourceFile, state: bytes | None) -> None:
        super().__init__()
        self._id = text(conversation_of(source.path)) or "unknown"
        self.s = _decode_state(state) if state else State()

    def state(self) -> bytes:
        return _encode_state(self.s)

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def record(self, record: Any, line: memoryview) -> None:
        index = counter(record.get("step_index")) if isinstance(record, dict) else None
        if index is None:
            skip(self.parsed, MALFORMED)
            return
        said = said_in(record, index)
        if self.s.started_at is None:
            self.s.started_at = micros(record.get("created_at"))
        if said is not None:
            self.s.entries += 1
            self.parsed.messages.append(message(self._id, said, self.s.started_at))

    def take(self) -> Parsed:
        if self.s.entries:
            key = keys.session_key(ID, self._id)
            self.parsed.sessions = [
                SessionRecord(key=key, harness=ID, session_id=self._id, started_at=self.s.started_at)
            ]
        return super().take()


def said_in(step: dict[str, Any], index: int) -> Said | None:
    """A step of a transcript, if somebody speaks in it."""
    kind = step.get("type")
    if not isinstance(kind, str) or kind not in _SPOKEN:
        return None
    role, what = _SPOKEN[kind]
    calls = step.get("tool_calls")
    called = names(call.get("name") for call in calls if isinstance(call, dict)) if isinstance(calls, list) else None
    size = size_of([step.get("content"), step.get("thinking")])
    return Said(index, micros(step.get("created_at")), role, what, size, called)


def message(conversation: str, said: Said, started_at: int | None) -> MessageRecord:
    return MessageRecord(
        key=keys.message_key(ID, conversation, said.index),
        session_key=keys.session_key(ID, conversation),
        harness=ID,
        at=said.at,
        role=said.role,
        kind=said.kind,
        tool_names=said.tool_names,
        size_chars=said.size_chars,
        session_started=started_at or 0,
    )
