"""Reads the editor's global store: conversations (`composerData:`) and their bubbles (formats/cursor.md).

The store holds access tokens too: every query names the keys it is for, by equality or as a range.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, OVERSIZED, Database, Files, SourceFile, skip
from trueup_agent.harnesses.cursor.conversation import Conversation
from trueup_agent.harnesses.cursor.folders import Folders
from trueup_agent.records import Parsed

TABLE = "cursorDiskKV"
SMALL_STORE = 32 << 20  # bytes; such a store is read whole, which is cheaper than to find out what changed
MAX_VALUE = 1 << 20  # of larger bubbles (an attached file) only the fields needed are fetched
MAX_CONVERSATION = 64 << 20

_COMPOSER, _BUBBLE = "composerData:", "bubbleId:"
_PAGE = 64
_PIECE = 4000  # records
_PATHS = {
    "type": "$.type",
    "createdAt": "$.createdAt",
    "requestId": "$.requestId",
    "tokenCount": "$.tokenCount",
    "modelInfo": "$.modelInfo",
    "toolFormerData": "$.toolFormerData",
    "workspaceUris": "$.workspaceUris",
}
_TEXT = "CAST(value AS TEXT)"
_SIZE = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_LIST = (
    f"SELECT key, length(value), CASE WHEN json_valid({_TEXT}) THEN json_extract({_TEXT}, '$.lastUpdatedAt') END"
    f" FROM {TABLE} WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
)
_ONE = f"SELECT value FROM {TABLE} WHERE key = ?"
_BUBBLES = (
    f"SELECT key, CASE WHEN length(value) <= {MAX_VALUE} THEN value END, CASE WHEN length(value) > {MAX_VALUE}"
    f" AND json_valid({_TEXT}) THEN json_extract({_TEXT}, {', '.join(repr(path) for path in _PATHS.values())}) END"
    f" FROM {TABLE} WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
)


class State(Struct, array_like=True):
    """What each conversation looked like when it was last read, and the folders that are known of them."""

    seen: dict[str, tuple[int, str]] = {}
    folders: dict[str, str] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode


class Store:
    """`base.WholeParser`. A conversation that changed is read again with all of its bubbles: they change in place."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        self._source, self._files = source, files
        self._s = _decode(state) if state else State()

    def state(self) -> bytes:
        return _encode(self._s)

    def read(self, everything: bool) -> Iterator[Parsed]:
        database = self._files.database(self._source.path)
        if not database.columns(TABLE):
            yield Parsed()
            return
        everything = everything or database.rows(_SIZE)[0][0] <= SMALL_STORE
        before, self._s.seen = self._s.seen, {}
        folders = Folders(self._source, self._files, {} if everything else self._s.folders)
        parsed = Parsed()
        for id_, look in _listed(database):
            if everything or before.get(id_) != look:
                self._conversation(database, id_, look[0], folders, parsed)
            self._s.seen[id_] = look
            if len(parsed.messages) + len(parsed.events) >= _PIECE:
                yield parsed
                parsed = Parsed()
        self._s.folders = {id_: folder for id_, folder in folders.known.items() if id_ in self._s.seen}
        yield parsed

    def _conversation(self, database: Database, id_: str, size: int, folders: Folders, parsed: Parsed) -> None:
        parsed.lines += 1
        if size > MAX_CONVERSATION:
            skip(parsed, OVERSIZED)
            return
        rows = database.rows(_ONE, (_COMPOSER + id_,))
        said = json_text.object_of(rows[0][0]) if rows else None
        if said is None:
            skip(parsed, MALFORMED)
            return
        conversation = Conversation(id_, said)
        for bubble_id, bubble in _bubbles(database, id_):
            parsed.lines += 1
            if bubble is None:
                skip(parsed, MALFORMED)
            else:
                conversation.add(bubble_id, bubble)
        conversation.write(parsed, folders.of(id_), lambda: self._files.modified_at(self._source.path))


def _listed(database: Database) -> Iterator[tuple[str, tuple[int, str]]]:
    """Ids of conversations, each with what tells that it changed."""
    last, end = _COMPOSER, _end(_COMPOSER)
    while page := database.rows(_LIST, (last, end, _PAGE)):
        for key, size, updated in page:
            last = key
            yield str(key)[len(_COMPOSER) :], (size or 0, str(updated))


def _bubbles(database: Database, id_: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    prefix = f"{_BUBBLE}{id_}:"
    last, end = prefix, _end(prefix)
    while page := database.rows(_BUBBLES, (last, end, _PAGE)):
        for key, value, fields in page:
            last = key
            bubble = json_text.object_of(value)
            if fields is not None:
                bubble = dict(zip(_PATHS, json_text.decode(fields.encode()), strict=True))
            yield str(key)[len(prefix) :], bubble


def _end(prefix: str) -> str:
    """The first key after all that begin so: `;` follows `:`."""
    return prefix[:-1] + ";"
