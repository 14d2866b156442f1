"""Reads a session's file from before the database: a header with the counters, then the messages.

An imported file stays where it was. It has the keys of its row in the database, so that both together count once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, Unfinished, skip
from trueup_agent.harnesses.goose.parser import row_of
from trueup_agent.harnesses.goose.sessions import ID, Session, add_message, moment
from trueup_agent.harnesses.goose.usage import COUNTERS, TOTAL, usage_of
from trueup_agent.harnesses.json_text import UNREADABLE, decode
from trueup_agent.harnesses.series import observation
from trueup_agent.records import Parsed

_encode = msgspec.json.Encoder().encode


class LegacyParser:
    """`base.WholeParser` of one file. The producer writes it whole, the header with the latest counters first."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files
        self._parsed = Parsed()

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        lines = (self._files.read(self._path) or b"").split(b"\n")
        if not lines[0].strip():
            raise Unfinished("half-written JSON")
        records = [self._decoded(line) for line in lines if line.strip()]
        header = records[0]
        if isinstance(header, dict):
            messages = [record for record in records[1:] if isinstance(record, dict)]
            self._session(header, messages)
        yield self._parsed

    def _decoded(self, line: bytes) -> Any:
        self._parsed.lines += 1
        try:
            return decode(line)
        except UNREADABLE:
            skip(self._parsed, MALFORMED)
            return None

    def _session(self, header: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        session = Session(row_of(header) | {"id": self._path.stem})
        times = [at for message in messages if (at := moment(message.get("created"))) is not None]
        session.started_at = min(times, default=None)
        self._parsed.sessions.append(session.record(None))
        for message in messages:
            content = message.get("content")
            row = {
                "id": None,
                "message_id": message.get("id"),
                "role": message.get("role"),
                "content_json": _encode(content).decode() if isinstance(content, list) else None,
                "created_timestamp": message.get("created"),
                "metadata_json": _encode(message.get("metadata")).decode(),
            }
            add_message(self._parsed, session, row)
        self._usage(session, max(times, default=None))

    def _usage(self, session: Session, at: int | None) -> None:
        raw = {TOTAL + name: values.counter(session.row[TOTAL + name]) for name in COUNTERS}
        if not any(raw.values()):
            return
        at, quality = (at, 2) if at is not None else (self._files.modified_at(self._path), 3)
        if at is None:
            skip(self._parsed, NO_TIME)
            return
        self._parsed.events.append(
            observation(
                ID,
                (session.identity,),
                tuple(raw.values()),
                usage_of(raw)[0],
                session_key=session.key,
                at=at,
                time_quality=quality,
                project_path=session.project,
                session_started=session.started_at or 0,
                raw_usage=_encode(raw),
            )
        )
