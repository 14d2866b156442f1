"""The wire of protocol 1: what travels between agent and hub, and what a row digest covers.

A row travels as `[key, seq, source_key, body]`. Its body is a map from field number to value, ascending, unknown fields
absent; in its canonical encoding it is what the digest covers. Byte by byte in docs/wire.md, with golden vectors.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field, msgpack

from trueup_shared.storable import (
    Count,
    Counter,
    CounterBits,
    Decimal,
    Key,
    Micros,
    Moment,
    Number,
    PathText,
    Rows,
    Text,
    Word,
    WordMap,
    Words,
)

PROTOCOL = 1
CONTENT_TYPE = "application/msgpack"
ENCODINGS = ("zstd", "gzip", "identity")
MAX_BATCH_ROWS = 20_000
MAX_BODY_BYTES = 64 * 1024 * 1024  # after decompression


class SessionBody(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Nothing derivable: no counts, no end time. Never title or path."""

    harness: Text | None = field(default=None, name="1")
    session_id: Text | None = field(default=None, name="2")  # the producer's own id
    parent_key: Key | None = field(default=None, name="3")
    relationship: Text | None = field(default=None, name="4")  # subagent | fork | resume
    started_at: Micros | None = field(default=None, name="5")  # microseconds UTC
    project: Text | None = field(default=None, name="6")  # after policy
    git_branch: Text | None = field(default=None, name="7")
    harness_version: Text | None = field(default=None, name="8")
    os_user: Text | None = field(default=None, name="9")  # after policy


class MessageBody(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One entry of a conversation, without its text."""

    session_key: Key | None = field(default=None, name="1")
    at: Micros | None = field(default=None, name="2")  # microseconds UTC
    role: Text | None = field(default=None, name="3")  # user | assistant | system | tool
    kind: Text | None = field(default=None, name="4")  # prompt | answer | tool_result | meta | summary | error
    model: Text | None = field(default=None, name="5")
    tool_names: list[Text] | None = field(default=None, name="6")
    size_chars: Counter | None = field(default=None, name="7")
    event_key: Key | None = field(default=None, name="8")
    project: Text | None = field(default=None, name="9")  # after policy; the session's, so that rollups need no join
    harness: Text | None = field(default=None, name="10")


class EventBody(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """The usage of one model request. An absent counter is unknown, never zero."""

    owner_key: Key | None = field(default=None, name="1")  # absent = the event's own key
    session_key: Key | None = field(default=None, name="2")
    at: Micros | None = field(default=None, name="3")  # microseconds UTC
    time_quality: Annotated[int, Meta(ge=1, le=3)] | None = field(default=None, name="4")  # 1 record, 2 session, 3 file
    harness: Text | None = field(default=None, name="5")
    provider: Text | None = field(default=None, name="6")
    model: Text | None = field(default=None, name="7")  # as logged
    service_tier: Text | None = field(default=None, name="8")
    speed: Text | None = field(default=None, name="9")
    project: Text | None = field(default=None, name="10")  # after policy
    input_tokens: Counter | None = field(default=None, name="11")
    cache_read_tokens: Counter | None = field(default=None, name="12")
    cache_write_tokens: Counter | None = field(default=None, name="13")
    cache_write_1h_tokens: Counter | None = field(default=None, name="14")
    output_tokens: Counter | None = field(default=None, name="15")
    reasoning_tokens: Counter | None = field(default=None, name="16")
    input_undivided_tokens: Counter | None = field(default=None, name="17")
    undivided_tokens: Counter | None = field(default=None, name="18")
    context_tokens: Counter | None = field(default=None, name="19")
    lower_bounds: CounterBits | None = field(default=None, name="20")  # bit set over metrics.COUNTERS; absent = none
    derived: CounterBits | None = field(default=None, name="21")
    web_searches: Counter | None = field(default=None, name="22")
    reported_cost: Decimal | None = field(default=None, name="23")  # decimal string in its unit
    reported_cost_unit: Text | None = field(default=None, name="24")  # usd | credits | …
    reported_cost_status: Text | None = field(default=None, name="25")  # reported | estimated | included
    flags: Annotated[int, Meta(ge=0, lt=1 << 31)] | None = field(default=None, name="26")  # bit set, below


Body = SessionBody | MessageBody | EventBody

CLOCK_SKEW = 1  # in `flags`: dated ahead of the machine's clock
OLD_DATA = 2  # … read by an older parser, and its log is gone

_encoder = msgpack.Encoder()


def encode_body(body: Body) -> bytes:
    """Canonical bytes of a row's wire form, which its digest covers: shortest headers, fields ascending."""
    return canonical_header(_encoder.encode(body))


def canonical_header(encoded: bytes) -> bytes:
    """msgspec reserves a map16 header when it omits defaults; the canonical form has the shortest one."""
    if encoded[0] == 0xDE and encoded[1] == 0 and encoded[2] < 16:
        return bytes((0x80 | encoded[2],)) + encoded[3:]
    return encoded


class SessionRow(Struct, frozen=True, array_like=True, gc=False):
    key: Key
    seq: int
    source_key: Key | None
    body: SessionBody


class MessageRow(Struct, frozen=True, array_like=True, gc=False):
    key: Key
    seq: int
    source_key: Key | None
    body: MessageBody


class EventRow(Struct, frozen=True, array_like=True, gc=False):
    key: Key
    seq: int
    source_key: Key | None
    body: EventBody


class Tombstone(Struct, frozen=True, array_like=True, gc=False):
    table: int
    key: Key
    seq: int


class ParserVersion(Struct, frozen=True):
    """Every row of that harness that is not flagged `old_data` has been re-derived at `floor`."""

    version: Number
    floor: Number


Parsers = Annotated[dict[Word, ParserVersion], Meta(max_length=100)]


# What agent and hub can do beyond rows in order. Each names its own in its handshake, and uses what both name.
FEATURES = DIRECTIVES, GENERATIONS, REPAIR = "directives", "generations", "repair"
PAGES = "pages"  # said in a header of requests, Prefer (RFC 7240): a hub that knows none passes it over


class AgentInfo(Struct, frozen=True, kw_only=True):
    version: Word
    protocols: tuple[Number, Number] = (PROTOCOL, PROTOCOL)  # lowest, highest
    digest_sets: tuple[Number, Number] = (1, 1)
    features: Words = []


# ordinary: the rows with a seq in (from_seq, to_seq], from_seq = acked_seq, which moves to to_seq.
# full: the same along the cursor of an open generation: from_seq = full_seq, which moves; to_seq <= full_target.
# repair: from_seq = to_seq = acked_seq; any rows and deletions (tombstones) with a seq up to it. Nothing moves.
BatchKind = Literal["ordinary", "full", "repair"]


class Batch(Struct, frozen=True, kw_only=True):
    """Rows as they are now, in the ledger's chain of batches. Rows stay raw: the hub decodes them one by one."""

    batch_id: Key
    previous_batch_id: Key | None
    batch_no: Number
    from_seq: Count
    to_seq: Count
    kind: BatchKind = "ordinary"
    generation: Number = 0  # of a full batch: the open one
    sessions: Rows = []
    messages: Rows = []
    events: Rows = []
    tombstones: Rows = []
    head_digest: Key | None = None  # only when to_seq is the ledger's head
    agent: AgentInfo
    parsers: Parsers = {}
    policy: WordMap = {}
    digest_set: Number = 1
    replaces: Words = []  # ids of ledgers of this host that this one took the place of


Verdict = Literal["converged", "behind", "diverged"]


class Directive(Struct, frozen=True, kw_only=True):
    """What this ledger's agent is asked to do, once: full_push | push | repair | rescan, and later perhaps more."""

    id: Word
    kind: Word


class DirectiveReport(Struct, frozen=True, kw_only=True):
    """How far an agent is with a directive, in `of` steps where it knows; `note` is one line for people."""

    id: Word
    state: Literal["running", "done", "failed"]
    done: Count = 0
    of: Count = 0
    note: Word = ""


class Rejection(Struct, frozen=True, kw_only=True):
    table: int
    key: bytes | None
    seq: int | None
    code: str
    reason: str


class Receipt(Struct, frozen=True, kw_only=True):
    """A replayed batch gets the same receipt."""

    ledger_id: str
    batch_id: Key
    batch_no: Number
    acked_seq: Count
    full_seq: Count = 0  # of the open generation
    digest: Key
    verdict: Verdict
    inserted: Count = 0
    updated: Count = 0
    unchanged: Count = 0
    removed: Count = 0
    rejected: list[Rejection] = []
    directives: list[Directive] = []


class Position(Struct, frozen=True, kw_only=True):
    """Where the hub is with a ledger. An enrolled host's unknown ledger is all zeros.

    `generation` is the last one that was committed, `open_generation` the one under way (0 = none) with its cursor
    `full_seq` and its end `full_target`. `digest` covers stored rows and rejected ones.
    """

    host_id: str
    ledger_id: str
    acked_seq: Count = 0
    last_batch_id: Key | None = None
    batch_no: Number = 0
    generation: Number = 0
    open_generation: Number = 0
    full_seq: Count = 0
    full_target: Count = 0
    digest: Key = bytes(16)
    digest_set: Number = 1
    state: str = "never"
    rejected: Count = 0  # rows
    protocols: tuple[int, int] = (PROTOCOL, PROTOCOL)
    digest_sets: tuple[int, int] = (1, 1)
    max_batch_rows: int = MAX_BATCH_ROWS
    max_body_bytes: int = MAX_BODY_BYTES
    hub_version: Word = ""
    features: Words = []


class OpenGeneration(Struct, frozen=True, kw_only=True):
    """Begin a full push, or go on with the one that is open. The answer is the Position."""

    last_batch_id: Key | None
    agent: AgentInfo


class CommitGeneration(Struct, frozen=True, kw_only=True):
    """End a full push: at_seq is the ledger's head and the hub's acked_seq, head_digest the ledger's digest there."""

    last_batch_id: Key | None
    at_seq: Count
    head_digest: Key
    agent: AgentInfo


class Committed(Struct, frozen=True, kw_only=True):
    """A repeated commit gets the same answer. `digest` was recomputed from the stored columns."""

    generation: Number
    acked_seq: Count
    removed: Count
    corrected: Count  # rows whose stored columns did not have the digest that the sums counted
    digest: Key
    verdict: Verdict


class RejectedDigest(Struct, frozen=True, array_like=True, gc=False):
    """A row that counts in the ledger's digest by its bytes as received. No key: the hub could not read one."""

    table: int
    key: Key | None
    seq: int | None
    digest: Key


class Buckets(Struct, frozen=True, kw_only=True):
    """Sums of the row digests of stored rows by the first byte of the session key: 256 x 16 bytes in a row."""

    last_batch_id: Key | None
    acked_seq: Count
    digest_set: Number = 1
    sums: bytes  # none with pages after the first
    rejected: list[RejectedDigest] = []  # in pages to whoever says `Prefer: pages`, all to agents that know none
    more: str | UnsetType = UNSET  # ask for those after this; absent: these are all


class SessionSum(Struct, frozen=True, array_like=True, gc=False):
    key: Key
    rows: int
    digest: Key


class BucketSessions(Struct, frozen=True, kw_only=True):
    """The sessions of a bucket that have rows at the hub."""

    last_batch_id: Key | None
    acked_seq: Count
    sessions: list[SessionSum] = []


class RowDigest(Struct, frozen=True, array_like=True, gc=False):
    table: int
    key: Key
    seq: int
    digest: Key


class SessionRows(Struct, frozen=True, kw_only=True):
    """The rows of a session that are stored and not stale: its own, its messages, its events."""

    last_batch_id: Key | None
    acked_seq: Count
    rows: list[RowDigest] = []


class EnrollRequest(Struct, frozen=True, kw_only=True):
    """The agent makes its own 256-bit secret and exchanges code + secret; repeating it gets the same answer."""

    code: str
    secret: bytes
    label: str
    labels: WordMap = {}
    ledger_id: str | None = None
    agent: AgentInfo
    platform: Word = ""
    kind: Literal["server", "laptop", "ephemeral"] = "server"


class EnrollReply(Struct, frozen=True, kw_only=True):
    host_id: str
    credential: str
    label: str


class SourceStatus(Struct, frozen=True, kw_only=True):
    """A source as the heartbeat tells it. No path unless policy says so."""

    key: Key
    harness: Word
    state: Word
    bytes_read: Count
    lines: Count
    skipped_lines: Count
    unknown_records: Count
    path: PathText | None = None


class Heartbeat(Struct, frozen=True, kw_only=True):
    ledger_id: str
    head_seq: Count
    rows: Count
    pending: Count
    agent: AgentInfo
    parsers: Parsers = {}
    sent_at: Moment  # by the machine's clock
    sources: list[SourceStatus] = []  # those that changed since the last heartbeat
    skipped_lines: Count = 0
    unknown_records: Count = 0
    old_data: Count = 0
    source_gone: Count = 0
    drift_suspected: Words = []  # harnesses
    last_error: str | None = None
    label: Word | None = None  # and the next two: a hub that lost its database learns what it called the host
    kind: Literal["server", "laptop", "ephemeral"] | None = None
    platform: Word | None = None
    replaces: Words = []
    withheld: Words = []  # fields that this hub does not know, as `events.27`: not sent
    directives: list[DirectiveReport] = []


class HeartbeatReply(Struct, frozen=True, kw_only=True):
    position: Position
    expected_silence_seconds: int
    directives: list[Directive] = []
