"""Writes Codex rollouts for tests, feeds them to the parser in pieces, and joins what it says as the ledger does."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trueup_agent.harnesses.codex import Codex
from trueup_agent.harnesses.codex.parser import CodexParser
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared.metrics import COUNTERS

PARENT = "019e0000-0000-7000-8000-00000000000a"
CHILD = "019e0000-1111-7000-8000-00000000000b"
TURN = "019e0000-aaaa-7000-8000-00000000{:04d}"
START = "2026-05-04T08:{:02d}:{:02d}.{:03d}Z"


def at(seconds: float) -> str:
    whole = int(seconds)
    return START.format(whole // 60, whole % 60, round((seconds - whole) * 1000))


def line(seconds: float, kind: str, payload: dict[str, Any], **top: Any) -> bytes:
    return json.dumps(
        {"timestamp": at(seconds), **top, "type": kind, "payload": payload}, separators=(",", ":")
    ).encode()


def meta(seconds: float, thread: str = PARENT, **more: Any) -> bytes:
    fields = {"id": thread, "timestamp": at(seconds), "cwd": "/home/ana/shop", "originator": "codex_cli_rs"}
    fields |= {"cli_version": "0.129.0", "source": "cli", "model_provider": "openai", "git": {"branch": "fix/cart"}}
    return line(seconds, "session_meta", fields | more)


def turn(seconds: float, turn_id: str | None = TURN.format(1), model: str | None = "gpt-5.3-codex") -> bytes:
    fields = {"turn_id": turn_id, "cwd": "/home/ana/shop", "model": model, "effort": "high"}
    return line(seconds, "turn_context", {name: value for name, value in fields.items() if value is not None})


def vector(input: int, cached: int = 0, output: int = 0, reasoning: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": input,
        "cached_input_tokens": cached,
        "output_tokens": output,
        "reasoning_output_tokens": reasoning,
        "total_tokens": input + output,
        **more,
    }


def count(seconds: float, total: Any, last: Any = None, **more: Any) -> bytes:
    info = {
        name: value for name, value in (("total_token_usage", total), ("last_token_usage", last)) if value is not None
    }
    return line(seconds, "event_msg", {"type": "token_count", "info": info or None, "rate_limits": None, **more})


def spent(seconds: float, before: dict[str, Any] | None, last: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """One more request: its line and the new running total."""
    total = {name: (before or {}).get(name, 0) + n for name, n in last.items()}
    return count(seconds, total, last), total


def copied(lines: list[bytes], seconds: float) -> list[bytes]:
    """As Codex copies history: the same payloads, dated with the moment of the copy."""
    stamp = line(seconds, "x", {})[:39]
    return [stamp + one[39:] for one in lines]


def name_of(thread: str) -> Path:
    return Path(f"/logs/sessions/2026/05/04/rollout-2026-05-04T08-00-00-{thread}.jsonl")


class Read:
    """What a set of files says after joining, whole: by key."""

    def __init__(self) -> None:
        self.events: dict[bytes, EventRecord] = {}
        self.messages: dict[bytes, MessageRecord] = {}
        self.sessions: dict[bytes, SessionRecord] = {}
        self.skipped: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.lines = 0

    def file(self, lines: Iterable[bytes], path: Path | None = None, cuts: Iterable[int] = ()) -> "Read":
        """Feeds the lines, in a new parser after each line number of `cuts`."""
        path = path or name_of(PARENT)
        parser, whole, done = CodexParser(path, None), list(lines), 0
        for cut in (*sorted(set(cuts)), len(whole)):
            parser.feed(b"".join(one + b"\n" for one in whole[done:cut]))
            self._add(parser)
            parser, done = CodexParser(path, parser.state()), max(done, cut)
        return self

    def real(self, path: Path) -> "Read":
        parser = CodexParser(path, None)
        parser.feed(path.read_bytes())
        self._add(parser)
        return self

    def folder(self, root: Path) -> "Read":
        harness = Codex()
        for folder in harness.folders_of_root(root):
            for source in harness.sources(folder, []) if folder.is_dir() else ():
                self.real(source.path)
        return self

    def _add(self, parser: CodexParser) -> None:
        parsed = parser.take()
        self.lines += parsed.lines
        for table, news in ((self.skipped, parsed.skipped), (self.unknown, parsed.unknown)):
            for name, n in news.items():
                table[name] = table.get(name, 0) + n
        for event in parsed.events:
            known = self.events.get(event.key)
            self.events[event.key] = event if known is None else _join(known, event)
        for message in parsed.messages:
            known_message = self.messages.get(message.key)
            if known_message is None or _precedence(message) < _precedence(known_message):
                self.messages[message.key] = message
        for session in parsed.sessions:
            self.sessions[session.key] = _filled(self.sessions.get(session.key), session)

    def in_order(self) -> list[EventRecord]:
        return sorted(self.events.values(), key=lambda e: (e.at, e.key))

    def usage(self) -> list[tuple[int | None, ...]]:
        """(input, cache read, cache write, output, reasoning, context) of each request, in order of time."""
        names = ("input", "cache_read", "cache_write", "output", "reasoning", "context")
        return [tuple(getattr(e, f"{name}_tokens") for name in names) for e in self.in_order()]

    def total(self, counter: str) -> int | None:
        known = [n for e in self.events.values() if (n := getattr(e, counter)) is not None]
        return sum(known) if known else None


def _precedence(record: EventRecord | MessageRecord) -> tuple[int, int, bytes]:
    return (record.copy, record.session_started, record.session_key)


def _join(one: EventRecord, other: EventRecord) -> EventRecord:
    """The part of the ledger's join that these tests need: greatest counters, earliest date, first owner."""
    owner, _ = sorted((one, other), key=_precedence)
    fullest = min((one, other), key=lambda e: (-(-1 if e.output_tokens is None else e.output_tokens), e.at))
    counters = {}
    for name in COUNTERS:
        known = [n for e in (one, other) if (n := getattr(e, name)) is not None]
        counters[name] = max(known) if known else None
    fields = {name: getattr(fullest, name) for name in EventRecord.__struct_fields__} | counters
    fields |= {name: getattr(owner, name) for name in ("session_key", "project_path", "copy", "session_started")}
    return EventRecord(**fields)


def _filled(known: SessionRecord | None, news: SessionRecord) -> SessionRecord:
    if known is None:
        return news
    names = SessionRecord.__struct_fields__
    return SessionRecord(**{n: getattr(news, n) if getattr(known, n) is None else getattr(known, n) for n in names})
