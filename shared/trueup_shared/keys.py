"""Keys and digests: 128-bit BLAKE2b values that are the same on every machine. Bytes are specified in docs/wire.md."""

from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from struct import Struct

KEY_BYTES = 16
DIGEST_MODULUS = 1 << 128

# Table numbers of the wire: part of every row digest.
SESSIONS, MESSAGES, EVENTS = 1, 2, 3

_ABSENT = b"\xff\xff\xff\xff"
_length = Struct(">I").pack


def key(*parts: str | int | None) -> bytes:
    """BLAKE2b-128 over length-prefixed UTF-8 parts; an int is its decimal text, None is told from ''."""
    return blake2b(_encoded(parts), digest_size=KEY_BYTES).digest()


def _encoded(parts: Iterable[str | int | None]) -> bytes:
    encoded = bytearray()
    for part in parts:
        if part is None:
            encoded += _ABSENT
        else:
            text = str(part).encode("utf-8", "surrogatepass")
            encoded += _length(len(text))
            encoded += text
    return bytes(encoded)


@cache
def _opening(kind: str, harness: str) -> bytes:
    """Encoded first parts, which most keys share."""
    return _encoded((kind, harness))


def session_key(harness: str, session_id: str) -> bytes:
    """The same on every host: `session_id` is the producer's own."""
    return key("session", harness, session_id)


def event_key(harness: str, *identity: str | int | None) -> bytes:
    """`identity` is what the producer calls that request (each format's Dedup section). Frozen per harness."""
    return blake2b(_opening("event", harness) + _encoded(identity), digest_size=KEY_BYTES).digest()


def message_key(harness: str, *identity: str | int | None) -> bytes:
    """`identity` is the producer's id of the message, else (session id, ordinal of the record)."""
    return blake2b(_opening("message", harness) + _encoded(identity), digest_size=KEY_BYTES).digest()


def series_key(harness: str, session_id: str) -> bytes:
    """Owner key of events made by subtraction: all events of a series count from one ledger (design section 7)."""
    return key("series", harness, session_id)


def row_digest(table: int, row_key: bytes, body: bytes, digest_set: int = 1) -> int:
    """Digest of one row. `body` is the canonical encoding of its wire form in that set (`digest_sets.encoder`)."""
    return int.from_bytes(row_digest_bytes(table, row_key, body, digest_set), "big")


def row_digest_bytes(table: int, row_key: bytes, body: bytes, digest_set: int = 1) -> bytes:
    return blake2b(bytes((digest_set, table)) + row_key + body, digest_size=KEY_BYTES).digest()


def digest_bytes(digest: int) -> bytes:
    return (digest % DIGEST_MODULUS).to_bytes(KEY_BYTES, "big")
