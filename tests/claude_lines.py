"""Writes Claude Code transcripts for tests, feeds them to the parser in pieces, joins what it says as a ledger does."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trueup_agent.files import DiskFiles
from trueup_agent.harnesses.base import SourceFile
from trueup_agent.harnesses.claude import Claude
from trueup_agent.ledger import merge, rows, rules
from trueup_agent.ledger.rows import Stored, StoredEvent, StoredMessage, StoredSession
from trueup_agent.policy import Policy
from trueup_agent.records import Parsed
from trueup_shared import keys

MAIN = "5e551000-0000-4000-8000-0000000000aa"
FORK = "5e551000-0000-4000-8000-0000000000bb"
PROJECT = Path("/home/ana/.claude/projects/-home-ana-shop")
MODEL = "claude-sonnet-4-5-20250929"
_ORIGIN = rows.Origin(source_key=b"s" * 16, data_version=1)
_NOW = 1_900_000_000_000_000


def at(seconds: float) -> str:
    whole = int(seconds)
    millis = round((seconds - whole) * 1000)
    return f"2026-03-02T{9 + whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{millis:03d}Z"


def micros(seconds: float) -> int:
    return 1_772_442_000_000_000 + round(seconds * 1_000_000)


def uuid(number: int) -> str:
    return f"11111111-aaaa-4000-8000-{number:012d}"


def message_id(number: int) -> str:
    return f"msg_01AbCdEfGhIjKlMn{number:06d}"


def request_id(number: int) -> str:
    return f"req_011AbCdEfGhIjKl{number:06d}"


def line(seconds: float, kind: str | None, number: int, **fields: Any) -> bytes:
    """Record `number` of a file. A field that is `...` is left out."""
    record = {
        "parentUuid": None,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/ana/shop",
        "sessionId": MAIN,
        "version": "2.1.96",
        "gitBranch": "fix/cart",
        "type": kind if kind is not None else ...,
        "uuid": uuid(number),
        "timestamp": at(seconds),
        **fields,
    }
    return encode({name: value for name, value in record.items() if value is not ...})


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def usage(output: Any = 100, input: Any = 9, read: Any = 15800, written: Any = 2100, **more: Any) -> dict[str, Any]:
    counters = {
        "input_tokens": input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": output,
        "service_tier": "standard",
        **more,
    }
    return {name: value for name, value in counters.items() if value is not ...}


def split(short: Any, long: Any) -> dict[str, Any]:
    return {"cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}}


def answer(
    seconds: float, number: int, message: int | str | None = 1, request: int | str | None = 1, **more: Any
) -> bytes:
    """One line of an answer of the model. `usage`, `stop`, `content`, `model` go into its message, others beside it."""
    inner = {
        "id": message_id(message) if isinstance(message, int) else message,
        "type": "message",
        "role": "assistant",
        "model": more.pop("model", MODEL),
        "content": more.pop("content", [{"type": "text", "text": "Done."}]),
        "stop_reason": more.pop("stop", "end_turn"),
        "usage": more.pop("usage", usage()),
    }
    request = request_id(request) if isinstance(request, int) else request
    fields = {"requestId": request if request is not None else ...} | more
    kind = fields.pop("type", "assistant")
    return line(seconds, kind, number, message={k: v for k, v in inner.items() if v is not ...}, **fields)


def prompt(seconds: float, number: int, content: Any = "why is the cart total wrong?", **more: Any) -> bytes:
    return line(seconds, "user", number, **{"message": {"role": "user", "content": content}} | more)


def tool_result(seconds: float, number: int, text: str = "ok") -> bytes:
    return prompt(seconds, number, [{"type": "tool_result", "tool_use_id": "toolu_A1", "content": text}])


def tool_use(tool_id: str, name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_id, "name": name, "input": {"file_path": "/home/ana/shop/cart.py"}}


def agent_path(agent: str, session: str = MAIN) -> Path:
    return PROJECT / session / "subagents" / f"agent-{agent}.jsonl"


def agent_key(agent: str) -> bytes:
    return keys.session_key("claude", f"agent-{agent}")


class Read:
    """What a set of files says after joining: stored rows by key."""

    def __init__(self) -> None:
        self.sessions: dict[bytes, StoredSession] = {}
        self.messages: dict[bytes, StoredMessage] = {}
        self.events: dict[bytes, StoredEvent] = {}
        self.skipped: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.lines = 0

    def file(self, lines: Iterable[bytes], path: Path | str = MAIN, cuts: Iterable[int] = ()) -> "Read":
        """Feeds the lines, in a new parser after each line number of `cuts`."""
        source = source_of(PROJECT / f"{path}.jsonl" if isinstance(path, str) else path)
        harness, whole, done = Claude(), list(lines), 0
        parser = harness.parser(source, None, DiskFiles(source))
        for cut in (*sorted(set(cuts)), len(whole)):
            parser.feed(b"".join(one + b"\n" for one in whole[done:cut]))
            self._add(parser.take())
            parser, done = harness.parser(source, parser.state(), DiskFiles(source)), max(done, cut)
        return self

    def real(self, *paths: Path) -> "Read":
        for path in paths:
            parser = Claude().parser(source_of(path), None, DiskFiles(source_of(path)))
            parser.feed(path.read_bytes())
            self._add(parser.take())
        return self

    def root(self, root: Path) -> "Read":
        """As `--root claude=PATH` reads it."""
        harness = Claude()
        folders = harness.folders_of_root(root)
        if not folders:
            return self.real(*(p for p in root.rglob("*.jsonl") if harness.recognise(p, p.read_bytes()[:65536])))
        return self.real(*(source.path for folder in folders for source in harness.sources(folder, [])))

    def counted(self) -> list[StoredEvent]:
        """Events that count, in order of time."""
        families: dict[bytes, list[StoredEvent]] = {}
        for event in self.events.values():
            families.setdefault(event.family or event.key, []).append(event)
        counted: list[StoredEvent] = []
        for members in families.values():
            decided = rules.decide(members)
            counted += [event for event in members if decided.get(event.key, event) is not None]
        return sorted(counted, key=lambda event: (event.at, event.key))

    def only(self) -> StoredEvent:
        (event,) = self.counted()
        return event

    def only_message(self) -> StoredMessage:
        (message,) = self.messages.values()
        return message

    def session(self, session_id: str = MAIN) -> StoredSession:
        return self.sessions[keys.session_key("claude", session_id)]

    def total(self, counter: str) -> int | None:
        known = [n for event in self.counted() if (n := getattr(event, counter)) is not None]
        return sum(known) if known else None

    def _add(self, parsed: Parsed) -> None:
        policy = Policy()
        self.lines += parsed.lines
        for table, news in ((self.skipped, parsed.skipped), (self.unknown, parsed.unknown)):
            for name, n in news.items():
                table[name] = table.get(name, 0) + n
        for session in parsed.sessions:
            _join(self.sessions, rows.session_row(session, _ORIGIN, policy))
        for message in parsed.messages:
            _join(self.messages, rows.message_row(message, _ORIGIN, policy))
        for event in parsed.events:
            _join(self.events, rows.event_row(event, _ORIGIN, policy, _NOW))


def source_of(path: Path) -> SourceFile:
    return SourceFile(harness="claude", path=path, identity=str(path))


def _join(table: dict[bytes, Any], row: Stored) -> None:
    known = table.get(row.key)
    joined = row if known is None else merge.join(known, row)
    # Digest and cost are made when a row is stored: here only its contents matter.
    joined.digest = b""
    if isinstance(joined, StoredEvent):
        joined.cost_nanousd = None
    table[row.key] = joined
