"""How Gemini CLI stores a conversation: as a document up to 0.38, as a journal since (formats/gemini.md)."""

from collections.abc import Iterator
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, Files, SourceFile, count_unknown, skip
from trueup_agent.harnesses.gemini.chat import Chat, encode_state
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.records import Parsed

_PIECE = 2000  # messages


class Journal(JsonLines):
    """`base.LineParser` of `session-*.jsonl`: messages by id, `$set` changes the metadata, `$rewindTo` hides."""

    def __init__(
        self, harness: str, provider: str | None, source: SourceFile, state: bytes | None, files: Files
    ) -> None:
        self._chat = Chat(harness, provider, source, files, state)
        super().__init__()

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def record(self, record: Any, line: memoryview) -> None:
        if not isinstance(record, dict):
            skip(self.parsed, MALFORMED)
        elif "$rewindTo" in record:
            pass  # what is hidden was spent
        elif "$set" in record:
            if isinstance(record["$set"], dict):
                self._chat.metadata(record["$set"])
            else:
                skip(self.parsed, MALFORMED)
        elif "type" in record:
            self._chat.message(record)
        elif "sessionId" in record or "messages" in record:
            self._chat.metadata(record)
        else:
            count_unknown(self.parsed, None)

    def take(self) -> Parsed:
        own, self.parsed = self.parsed, Parsed()
        return _joined(self._chat.take(), own)

    def state(self) -> bytes:
        return encode_state(self._chat.s)


class Document:
    """`base.WholeParser` of `session-*.json`."""

    def __init__(self, harness: str, provider: str | None, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files
        self._chat = Chat(harness, provider, source, files, None)

    def read(self, everything: bool) -> Iterator[Parsed]:
        raw = self._files.read(self._source.path)
        if raw is None:
            return
        parsed = self._chat.parsed
        try:
            said = json_text.decode_document(raw)
        except json_text.UNREADABLE:
            said = None
        if not isinstance(said, dict):
            parsed.lines = 1
            skip(parsed, MALFORMED)
            yield self._chat.take()
            return
        messages = said.pop("messages", None)
        self._chat.metadata(said)
        if not isinstance(messages, list):
            messages = []
            count_unknown(parsed, "(no messages)")
        for start in range(0, len(messages) or 1, _PIECE):
            for message in messages[start : start + _PIECE]:
                self._chat.parsed.lines += 1
                if isinstance(message, dict):
                    self._chat.message(message)
                else:
                    skip(self._chat.parsed, MALFORMED)
            yield self._chat.take()

    def state(self) -> bytes:
        return b""


def _joined(parsed: Parsed, own: Parsed) -> Parsed:
    """What the reader of lines counted goes with what the conversation gave."""
    parsed.lines = own.lines
    for counts, more in ((parsed.skipped, own.skipped), (parsed.unknown, own.unknown)):
        for name, n in more.items():
            counts[name] = counts.get(name, 0) + n
    return parsed
