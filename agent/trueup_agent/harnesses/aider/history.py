"""Reads a `.aider.chat.history.md` line by line (formats/aider.md).

`# aider chat started at` begins a run, which is a session; `#### ` is what the user typed, `> ` what aider printed, the
rest what the model said. No line has a time or a name: a request is known by the run and the place of its line in it.

Where an analytics log lies beside the history, requests of runs that began since the log did are told twice: here
rounded, there exact. Both then belong to one family, known by how aider prints the log's numbers, in which the log's
record counts. Runs from before the log, and requests that it lacks, count by their printed lines.
"""

import re
from pathlib import Path

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.aider.usage import (
    Printed,
    cost_of,
    family_of_printed,
    raw_of,
    read_tokens,
    read_usage,
    with_cost,
)
from trueup_agent.harnesses.base import NO_TIME, Files, SourceFile, skip
from trueup_agent.harnesses.content import provider_of
from trueup_agent.harnesses.values import LATEST, MAX_PATH, epoch, local_micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import event_key, key, message_key, session_key

ID = "aider"
MAX_LINE = 4096  # characters of a line that are looked at
# A run's header is written before the log's first record: by as much as it takes to start.
_SLACK = 3600 * 1_000_000

_HEADER = re.compile(r"# aider chat started at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_MODEL = re.compile(r"(?:Main model|Models?): (\S+?),?(?: with\b|$)")
_ASKING = ("/ask", "/code", "/architect", "/context", "/help")

_encode = msgspec.json.Encoder().encode


class Run(Struct):
    """From one header to the next."""

    header: str = ""
    number: int = 0  # of runs with this header: two may begin in one second
    begins: int = 0  # offset in the file
    at: int | None = None
    model: str | None = None
    asked: bool = False  # before the first prompt aider repeats its own command line, whose message may have many lines


class State(Struct):
    offset: int = 0
    run: Run | None = None
    prompt: int | None = None  # offset of the prompt whose lines are being read
    prompt_size: int = 0
    answer: int | None = None  # offset of the answer that is being read
    answer_size: int = 0
    answer_event: bytes | None = None
    is_printing: bool = False  # aider printed something since the answer's last line
    waiting: tuple[int, Printed] | None = None  # a line of tokens whose cost may stand on the next


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


class HistoryParser:
    """`base.LineParser`."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        self.s = decode_state(state) if state else State()
        self._source, self._files = source, files
        self._log_begins: int | None = None
        self._has_looked = False
        self.parsed = Parsed()

    def state(self) -> bytes:
        return encode_state(self.s)

    def take(self) -> Parsed:
        parsed, self.parsed = self.parsed, Parsed()
        return parsed

    def feed(self, chunk: bytes) -> None:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self.parsed.lines += 1
            line = chunk[start:end].decode("utf-8", "replace").removesuffix("\r")
            self._line(line, self.s.offset)
            self.s.offset += end + 1 - start
            start = end + 1

    def close(self) -> None:
        """What is open is told as far as it goes; the lines that complete it tell it again."""
        if self.s.waiting is not None:
            self._tokens(*self.s.waiting, is_complete=False)
        self._emit_answer()

    def _line(self, line: str, offset: int) -> None:
        s = self.s
        if s.waiting is not None:
            position, printed = s.waiting
            s.waiting = None
            whole = with_cost(printed, line[:MAX_LINE].removeprefix("> "))
            self._tokens(position, whole)
            if whole.cost is not None:
                return
        if header := _HEADER.match(line):
            self._begin(header[1], offset)
            return
        if s.run is None and line.strip():
            self._begin("", offset)  # the file's beginning was cut off
        # The model writes headings of that level too, but does not end them with two spaces.
        if line.startswith("#### ") and (s.answer is None or s.is_printing or line.endswith("  ")):
            self._prompt(line[5:].rstrip(), offset)
        elif line.startswith(">"):
            s.is_printing = True
            self._printed(line[1:MAX_LINE].strip(), offset)
        elif line.strip() and (s.run is None or s.run.asked or not s.run.header):
            s.prompt, s.is_printing = None, False
            if s.answer is None:
                s.answer, s.answer_size, s.answer_event = offset, 0, None
            s.answer_size += len(line)

    def _begin(self, started: str, offset: int) -> None:
        s, before = self.s, self.s.run
        self._leave_answer()
        number = before.number + 1 if before is not None and before.header == started else 0
        s.run, s.prompt = Run(started, number, offset, local_micros(started)), None
        self.parsed.sessions.append(
            SessionRecord(
                key=session_key(ID, self._run_id(s.run)),
                harness=ID,
                session_id=self._run_id(s.run),
                started_at=s.run.at,
                project_path=self._project(),
            )
        )

    def _prompt(self, said: str, offset: int) -> None:
        s = self.s
        self._leave_answer()
        if s.run is not None:
            s.run.asked = True
        if s.prompt is None:
            s.prompt, s.prompt_size = offset, 0
        s.prompt_size += len(said)
        is_command = said.startswith("/") and not said.startswith(_ASKING)
        self._message("user", "meta" if is_command else "prompt", s.prompt, s.prompt_size)

    def _printed(self, said: str, offset: int) -> None:
        s = self.s
        s.prompt = None
        if model := _MODEL.match(said):
            if s.run is not None:
                s.run.model = text(model[1])
        elif (printed := read_tokens(said)) is not None:
            if printed.awaits_cost():
                s.waiting = (offset, printed)
            else:
                self._tokens(offset, printed)

    # -- What is told

    def _tokens(self, offset: int, printed: Printed, is_complete: bool = True) -> None:
        run, raw = self.s.run or Run(), raw_of(printed)
        usage = read_usage(raw)
        if usage is None:
            return
        self.parsed.answer(metered=True)
        at, quality = (run.at, 2) if run.at is not None else (self._files.modified_at(self._source.path), 3)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        identity = (self._run_id(run), offset - run.begins)
        event = EventRecord(
            key=event_key(ID, *identity),
            session_key=session_key(ID, identity[0]),
            harness=ID,
            at=at,
            time_quality=quality,
            provider=provider_of(run.model),
            model=run.model,
            project_path=self._project(),
            **msgspec.structs.asdict(usage),
            reported_cost=cost_of(printed),
            reported_cost_unit="usd",
            reported_cost_status="estimated",
            family=family_of_printed(printed) if is_complete and self._is_logged(run) else None,
            rank=1,
            session_started=run.at or LATEST,
            identity=_encode(identity).decode(),
            raw_usage=_encode(raw),
        )
        self.parsed.events.append(event)
        if is_complete:
            self.s.answer_event = event.key
            self._leave_answer()

    def _leave_answer(self) -> None:
        self._emit_answer()
        self.s.answer = None

    def _emit_answer(self) -> None:
        s = self.s
        if s.answer is not None:
            entry = self._message("assistant", "answer", s.answer, s.answer_size)
            entry.event_key, entry.model = s.answer_event, (s.run or Run()).model

    def _message(self, role: str, kind: str, offset: int, size: int) -> MessageRecord:
        run = self.s.run or Run()
        run_id = self._run_id(run)
        entry = MessageRecord(
            key=message_key(ID, run_id, offset - run.begins),
            session_key=session_key(ID, run_id),
            harness=ID,
            at=run.at,
            role=role,
            kind=kind,
            size_chars=size,
            project_path=self._project(),
            session_started=run.at or LATEST,
        )
        self.parsed.messages.append(entry)
        return entry

    def _run_id(self, run: Run) -> str:
        return key("aider-run", str(self._source.path), run.header, run.number).hex()

    def _project(self) -> str | None:
        return text(str(self._source.path.parent), MAX_PATH)

    def _is_logged(self, run: Run) -> bool:
        """Does an analytics log tell of this run as well?"""
        if not self._has_looked:
            self._has_looked = True
            begins = [at for log in self._source.companions if (at := self._first_record(log)) is not None]
            self._log_begins = min(begins, default=None)
        return run.at is not None and self._log_begins is not None and run.at >= self._log_begins - _SLACK

    def _first_record(self, log: Path) -> int | None:
        try:
            raw = self._files.read(log) or b""
            record = json_text.decode(raw[: raw.find(b"\n") + 1 or None])
        except (OSError, *json_text.UNREADABLE):
            return None
        return epoch(record.get("time"), 1) if isinstance(record, dict) else None
