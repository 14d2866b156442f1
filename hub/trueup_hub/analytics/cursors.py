"""Where a page of a list ended, as text for the client. It is bound to the list that it was made for: with another
order, other filters or another `counted` it would skip rows in silence, so that it is refused there."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from trueup_hub.params import bad

Key = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last row's place in the order: what it is sorted by, its key, the ledger that has it and its table where
    several may."""

    list: bytes
    value: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    key: Key
    ledger_no: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    table_no: Annotated[int, Meta(ge=0, le=3)] = 0


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Cursor)


def list_id(*what: Any) -> bytes:
    """Of the list that `what` (anything that JSON can hold) asks for."""
    return blake2b(msgspec.json.encode(what, order="sorted"), digest_size=8).digest()


def write_cursor(cursor: Cursor) -> str:
    return urlsafe_b64encode(_encoder.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str | None, list_: bytes) -> Cursor | None:
    """BadRequest for one that this hub did not make, or made for another list."""
    if text is None:
        return None
    try:
        cursor = _decoder.decode(urlsafe_b64decode(text.encode("ascii") + b"=="))
    except (msgspec.MsgspecError, NotBase64, UnicodeError) as error:
        raise bad("cursor", text, "is not a cursor of this route") from error
    if cursor.list != list_:
        raise bad("cursor", text, "belongs to another list: keep order, filters, range and 'counted' from page to page")
    return cursor
