"""What parsers of JSON lines have in common."""

from typing import Any

import msgspec

from trueup_agent.harnesses.base import MALFORMED, skip
from trueup_agent.records import Parsed

# What decoding a line can raise: no JSON, another shape, digits without end, nesting without end.
UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)

# Decoded, an empty list takes twenty times its text: 64 MB of them were 2.5 GB. What programs write has text in it.
MAX_VALUES = 8_000_000


class TooMany(ValueError):
    """More values than any log has in one line or document."""


def check_size(raw: bytes | memoryview) -> None:
    """To be called before JSON is decoded. Raises TooMany."""
    if len(raw) > MAX_VALUES:  # a value has one of these signs at least
        content = bytes(raw)
        if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
            raise TooMany(f"more than {MAX_VALUES:,} values")


class JsonLines:
    """`base.LineParser` without the harness: subclasses give `decode` and `record`, and `state` where they need one."""

    def __init__(self) -> None:
        self.parsed = Parsed()

    def decode(self, line: memoryview) -> Any:
        """One line, not empty. May raise what UNREADABLE names."""
        raise NotImplementedError

    def record(self, record: Any, line: memoryview) -> None:
        """One decoded record, and its bytes. Must not raise."""
        raise NotImplementedError

    def feed(self, chunk: bytes) -> None:
        view, start = memoryview(chunk), 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self.parsed.lines += 1
            line = view[start:end]
            start = end + 1
            if not bytes(line[:64]).strip():
                continue
            try:
                check_size(line)
                record = self.decode(line)
            except UNREADABLE:
                skip(self.parsed, MALFORMED)
            else:
                self.record(record, line)

    def close(self) -> None:
        pass

    def take(self) -> Parsed:
        parsed, self.parsed = self.parsed, Parsed()
        return parsed

    def state(self) -> bytes:
        return b""
