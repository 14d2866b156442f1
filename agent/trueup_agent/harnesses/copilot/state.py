"""What a reader of a session's log carries from one line to the next."""

from pathlib import PurePath

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import values


class Total(Struct):
    """What the last shutdown said of one model: running totals."""

    usage: dict[str, int]
    premium_requests: int | float | None = None
    nano_aiu: int | float | None = None


class State(Struct):
    session_id: str
    named: bool = False  # by a session.start
    started_at: int | None = None
    project: str | None = None
    model: str | None = None
    emitted: bool = False
    since: int | None = None  # the next shutdown's totals tell of what came after it
    totals: dict[str, Total] = {}
    nano_aiu: int | float | None = None  # of all models, at the last shutdown
    answers: int = 0  # of this run, which the shutdown should tell the usage of
    shows_output: bool = False  # its answers say how many tokens they have
    records: int = 0
    calls: list[tuple[str, str]] = []  # requests that the log told of itself: API id -> name of the event


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


def session_of(path: PurePath) -> str:
    """The folder's name, in the flat layout the file's."""
    return values.text(path.parent.name if path.name == "events.jsonl" else path.stem) or "unknown"
