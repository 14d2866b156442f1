"""Usage events of Claude Code: their identity, and how the lines of one request become one snapshot."""

from functools import lru_cache
from hashlib import blake2b

import msgspec
from msgspec import Raw

from trueup_agent.harnesses.base import NO_TIME
from trueup_agent.harnesses.claude.records import Message, Record, Usage, read_part
from trueup_agent.harnesses.claude.session import ID, SIDECHAIN, Session
from trueup_agent.harnesses.claude.usage import (
    ADVISOR,
    SYNTHETIC,
    Counters,
    advisor_calls,
    is_placeholder,
    model_and_provider,
    read_counters,
)
from trueup_agent.harnesses.values import amount, counter, text
from trueup_agent.records import EventRecord
from trueup_shared import keys
from trueup_shared.metrics import BIT

FROM_RECORD, FROM_SESSION = 1, 2  # time_quality
UNIQUE_ID_CHARS = 16  # of an id that a provider made; a shorter one ("msg_1") is a gateway's running number
MAX_RAW_USAGE = 16 * 1024

Identity = tuple[str | None, ...]

_COUNTERS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "context_tokens",
)
_DESCRIPTION = ("provider", "model", "service_tier", "speed", "reported_cost", "raw_usage")
_encode_text = msgspec.json.Encoder().encode


class Line:
    """A line that holds an entry of a conversation, and what its file says of it."""

    __slots__ = ("at", "copy", "quality", "record", "session", "text")

    def __init__(self, record: Record, text: memoryview, session: Session, copy: int, at: int | None) -> None:
        self.record = record
        self.text = text
        self.session = session
        self.copy = copy
        self.at = at if at is not None else session.last_at
        self.quality = FROM_RECORD if at is not None else FROM_SESSION


def is_unique(producer_id: str) -> bool:
    """Does an id hold everywhere? Gateways number messages per process: theirs hold for one session and human turn."""
    return len(producer_id) >= UNIQUE_ID_CHARS


def identity_of_message(line: Line, message_id: str) -> Identity:
    """Never the time, which differs between the lines of one message."""
    if is_unique(message_id):
        return (message_id,)
    return (line.record.session_id or line.session.id, line.session.turn_of(message_id), message_id)


def identity_of_line(line: Line) -> Identity:
    """For a message without an id."""
    uuid = text(line.record.uuid)
    if uuid is None:
        return ("line", blake2b(bytes(line.text).strip(), digest_size=16).hexdigest())
    return ("uuid", uuid) if is_unique(uuid) else ("uuid", line.record.session_id or line.session.id, uuid)


@lru_cache(maxsize=256)
def _key(identity: Identity) -> tuple[bytes, str]:
    """Key of an event, and its preimage. Cached: a request has several lines."""
    return keys.event_key(ID, *identity), _encode_text((ID, *identity)).decode()


class Events:
    """Snapshots of requests since the last `take`; those of one request are folded where that loses nothing."""

    def __init__(self) -> None:
        self._folded: dict[tuple[bytes, bytes, int], EventRecord] = {}
        self._loose: list[EventRecord] = []

    def take(self) -> list[EventRecord]:
        return [*self._folded.values(), *self._loose]

    def read(
        self, line: Line, message: Message, of_message: Identity | None, message_key: bytes
    ) -> tuple[bytes | None, str | None, bool | None]:
        """Key of the event that the line shows, else None; the reason why its usage could not be taken; whether it has
        any, None where none is due."""
        usage = read_part(message.usage, Usage)
        by_client = message.model == SYNTHETIC or bool(line.record.is_api_error_message)
        if usage is None:
            return None, None, None if by_client else False
        counters = read_counters(usage, message.stop_reason is not None)
        metered = counters.any() or (None if by_client or is_placeholder(usage) else False)
        if message.model == SYNTHETIC and not (line.record.is_api_error_message and counters.any()):
            return None, None, metered
        if line.at is None:
            return None, NO_TIME, metered
        identity = identity_of_line(line) if of_message is None else (*of_message, text(line.record.request_id))
        # Requests of one message are a family, if a provider made its id: a gateway's may name another message too.
        family = message_key if of_message is not None and len(of_message) == 1 else None
        rank = _rank(line, family)
        cost, raw = amount(line.record.cost_usd), _raw_usage(message.usage)
        key, _ = _key(identity)
        seen = self._folded.get((key, line.session.key, line.copy))
        if seen is None or cost is not None or not _grow(seen, line, usage, counters, message.model, rank, raw):
            event = _event(line, identity, family, rank, usage, counters, message.model)
            if cost is not None:
                event.reported_cost, event.reported_cost_unit, event.reported_cost_status = cost, "usd", "reported"
            event.raw_usage = raw
            self._add(event)
        if usage.iterations:
            for number, entry in enumerate(advisor_calls(usage)):
                suffix = (ADVISOR, str(number))
                counters = read_counters(entry, message.stop_reason is not None)
                of_family = keys.key("family", ID, *identity[:1], *suffix) if family is not None else None
                event = _event(line, identity + suffix, of_family, rank, entry, counters, entry.model)
                event.raw_usage = raw
                self._add(event)
        return key, None, metered

    def _add(self, event: EventRecord) -> None:
        slot = (event.key, event.session_key, event.copy)
        seen = self._folded.get(slot)
        if seen is None:
            self._folded[slot] = event
        elif (folded := fold(seen, event)) is not None:
            self._folded[slot] = folded
        else:
            self._loose.append(event)


def _event(
    line: Line,
    identity: Identity,
    family: bytes | None,
    rank: int,
    usage: Usage,
    counters: Counters,
    model: str | None,
) -> EventRecord:
    session = line.session
    name, provider = model_and_provider(model)
    assert line.at is not None
    key, preimage = _key(identity)
    return EventRecord(
        key=key,
        session_key=session.key,
        harness=ID,
        at=line.at,
        time_quality=line.quality,
        provider=provider,
        model=name,
        service_tier=text(usage.service_tier),
        speed=text(usage.speed),
        project_path=session.project_path,
        input_tokens=counters.input_tokens,
        cache_read_tokens=counters.cache_read_tokens,
        cache_write_tokens=counters.cache_write_tokens,
        cache_write_1h_tokens=counters.cache_write_1h_tokens,
        output_tokens=counters.output_tokens,
        context_tokens=counters.context_tokens,
        lower_bounds=counters.lower_bounds,
        web_searches=_web_searches(usage),
        family=family,
        rank=rank,
        copy=line.copy,
        session_started=session.precedence(line.copy),
        identity=preimage,
    )


def _web_searches(usage: Usage) -> int | None:
    return counter(usage.server_tool_use.web_search_requests) if usage.server_tool_use is not None else None


def _rank(line: Line, family: bytes | None) -> int:
    """Within a family: main chain before sidechain, with a request id before without."""
    if family is None:
        return 0
    is_sidechain = line.copy == SIDECHAIN or line.record.is_sidechain
    return (2 if is_sidechain else 0) + (not line.record.request_id)


def _raw_usage(usage: Raw) -> bytes | None:
    return bytes(usage) if len(usage) <= MAX_RAW_USAGE else None


def _grow(
    seen: EventRecord, line: Line, usage: Usage, counters: Counters, model: str | None, rank: int, raw: bytes | None
) -> bool:
    """What `fold` does, without a new record, for the usual next line of a message: more output, all else the same."""
    output = counters.output_tokens
    if (
        output is None
        or seen.output_tokens is None
        or output <= seen.output_tokens
        or line.at is None
        or line.quality != seen.time_quality
        or seen.reported_cost is not None
        or raw is None
        or counters.input_tokens != seen.input_tokens
        or counters.cache_read_tokens != seen.cache_read_tokens
        or counters.cache_write_tokens != seen.cache_write_tokens
        or counters.cache_write_1h_tokens != seen.cache_write_1h_tokens
        or counters.context_tokens != seen.context_tokens
        or model != seen.model
        or usage.service_tier != seen.service_tier
        or usage.speed != seen.speed
        or _web_searches(usage) != seen.web_searches
        or line.session.project_path != seen.project_path
        or line.session.precedence(line.copy) != seen.session_started
        or rank != seen.rank
    ):
        return False
    seen.at = line.at
    seen.output_tokens = output
    seen.lower_bounds &= counters.lower_bounds
    seen.raw_usage = raw
    return True


def fold(a: EventRecord, b: EventRecord) -> EventRecord | None:
    """The join of two snapshots of one request in one session, as ledger/merge.py makes it.

    None where it would need to remember which snapshot a field came from: then the ledger gets both.
    """
    rank_a = (-1 if a.output_tokens is None else a.output_tokens, -a.at)
    rank_b = (-1 if b.output_tokens is None else b.output_tokens, -b.at)
    if rank_a == rank_b and a != b:
        return None
    full, other = (b, a) if rank_b > rank_a else (a, b)
    if (
        full.project_path != other.project_path
        or full.rank != other.rank
        or full.session_started != other.session_started
        or any(getattr(full, name) is None and getattr(other, name) is not None for name in _DESCRIPTION)
    ):
        return None
    bounds = 0
    for name in _COUNTERS:
        of_full, of_other = getattr(full, name), getattr(other, name)
        if of_other is not None and (of_full is None or of_other > of_full):
            setattr(full, name, of_other)
        if of_full is None or of_other is None:
            known = other if of_full is None else full
            bounds |= known.lower_bounds & BIT[name]
        else:
            bounds |= full.lower_bounds & other.lower_bounds & BIT[name]
    full.lower_bounds = bounds
    if other.web_searches is not None and (full.web_searches is None or other.web_searches > full.web_searches):
        full.web_searches = other.web_searches
    return full
