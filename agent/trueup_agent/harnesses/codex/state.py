"""What a reader of a Codex thread carries from one line to the next."""

import re
from pathlib import PurePath

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import values
from trueup_agent.harnesses.codex.replay import Replay
from trueup_agent.harnesses.codex.usage import Vector

UNIQUE_ID_CHARS = 16  # "t-1" names a turn of one thread; a UUID names it everywhere
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


class State(Struct):
    """Everything that the next line may depend on."""

    thread_id: str
    header: bool = False  # the thread's own session_meta was seen; later ones are copies
    begun: bool = False
    started_at: int | None = None
    project: str | None = None
    provider: str | None = None
    is_child: bool = False
    paginated: bool = False
    replay: Replay = msgspec.field(default_factory=Replay)
    turn_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    prev: Vector | None = None
    prev_last: Vector | None = None
    epoch: int = 0  # resets of the counter inside what the key names: two epochs may pass the same totals
    turns_completed: int = 0
    messages: int = 0
    turn_messages: int = 0
    # Responses with records of their own: in this thread, in this turn, and told by a count before their record.
    has_records: bool = False
    turn_has_records: bool = False
    told_by_counts: list[tuple[int, ...]] = []
    # For the drift canary, of the turn: did the model say something, and was the counter seen?
    answered: bool = False
    metered: bool = False

    def turn_is_unique(self) -> bool:
        return self.turn_id is not None and len(self.turn_id) >= UNIQUE_ID_CHARS


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


def thread_of(path: PurePath) -> str:
    """The uuid in a rollout's name; other names stand for themselves."""
    stem = path.name.removesuffix(".zst").removesuffix(".jsonl")
    found = _UUID.search(stem)
    return found.group() if found else values.text(stem) or "unknown"


def uuid7_micros(thread_id: str) -> int | None:
    """When a time-ordered uuid was made; None for other ids."""
    if not _UUID.fullmatch(thread_id) or thread_id[14] != "7":
        return None
    at = int(thread_id[:8] + thread_id[9:13], 16) * 1000
    return at if values.EARLIEST <= at < values.LATEST else None
