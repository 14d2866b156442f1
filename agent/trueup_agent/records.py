"""What a parser says of a source: sessions, messages and events, in storable values.

A record is a *snapshot*. Two snapshots of one key join (ledger/merge.py) to the same row in whatever order they come,
so neither the order of files nor the place where an append was cut can change a number.
"""

from msgspec import Struct

# The words of all harnesses (tests/agent/test_vocabulary.py). What a producer calls otherwise is put into these.
RELATIONSHIPS = ("subagent", "fork", "resume")
ROLES = ("user", "assistant", "system", "tool")
KINDS = ("prompt", "answer", "tool_result", "meta", "summary", "error")
COST_UNITS = ("usd", "credits", "aiu", "premium_requests")  # aiu: GitHub's AI units
# What the producer was charged or charges; what it worked out from list prices; what a plan pays.
COST_STATUSES = ("reported", "estimated", "included")


class SessionRecord(Struct, kw_only=True, gc=False):
    """A conversation as one source shows it. `project_path` and `title` stay local unless policy says otherwise."""

    key: bytes
    harness: str
    session_id: str
    parent_key: bytes | None = None
    relationship: str | None = None  # of RELATIONSHIPS
    started_at: int | None = None  # microseconds UTC: its first own record
    project_path: str | None = None  # working directory of its first own record
    git_branch: str | None = None
    harness_version: str | None = None
    title: str | None = None


class MessageRecord(Struct, kw_only=True, gc=False):
    """One entry of a conversation. Never its text."""

    key: bytes
    session_key: bytes
    harness: str
    at: int | None
    role: str  # of ROLES
    kind: str  # of KINDS
    model: str | None = None
    tool_names: list[str] | None = None
    size_chars: int | None = None
    event_key: bytes | None = None
    project_path: str | None = None
    # Precedence: which session owns an entry that several have. Smallest (copy, session_started, session_key) wins.
    copy: int = 0  # 0 a record of its own; greater: a copy, the more certainly the greater
    session_started: int = 0


class EventRecord(Struct, kw_only=True, gc=False):
    """The usage of one model request as one source shows it. None = not reported, never zero."""

    key: bytes
    session_key: bytes
    harness: str
    at: int  # microseconds UTC
    time_quality: int = 1  # 1 record, 2 session, 3 file
    provider: str | None = None
    model: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    project_path: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_undivided_tokens: int | None = None
    undivided_tokens: int | None = None
    context_tokens: int | None = None
    lower_bounds: int = 0  # bit set over metrics.COUNTERS
    derived: int = 0
    web_searches: int | None = None
    reported_cost: str | None = None  # decimal text
    reported_cost_unit: str | None = None  # of COST_UNITS
    reported_cost_status: str | None = None  # of COST_STATUSES
    owner_key: bytes | None = None  # None = its own key
    # Events of which not each counts as it stands share a family, and a rule decides (ledger/rules.py). Without a name
    # it is `alternatives`: all of rank 0 count; where there is none, only the best; the others are set aside.
    family: bytes | None = None
    rule: str | None = None  # SERIES | LEGS | DELETIONS
    rank: int = 0
    since: int | None = None  # LEGS, DELETIONS, rank 1: the time after which this sum counts, microseconds UTC
    after: bytes | None = None  # SERIES: the family that may have handed its running total on to this one
    copy: int = 0
    session_started: int = 0
    identity: str = ""  # JSON array: the preimage of the key, so that a later release can re-derive it
    raw_usage: bytes | None = None  # JSON as logged


# The counters of each event are a session's running totals as they were seen then: what counts is the difference to the
# observation before, by (at, total). Any counter that shrank: the source began anew. `family` is keys.series_key,
# `owner_key` too; the key holds the counters seen, so that seeing them again changes nothing. Where requests of no rule
# are in the family as well, they count and the totals do not: for sources that gain them later.
SERIES = "series"
# Requests (rank 0), totals over the time from `since` to `at` of one model (rank 1), outputs of answers (rank 2).
# Of a total counts what requests of its model and time do not cover, an answer only where neither covers it.
# Above rank 2: what is known of the same requests from other places, the surest kind first; only where nothing else is.
LEGS = "legs"
# Requests (rank 0) and sums of what was deleted from their log between `since` and `at` (rank 1): of a sum counts what
# is not known otherwise of that time.
DELETIONS = "deletions"


class Parsed(Struct, kw_only=True):
    """What was parsed since the last `take`. `lines` counts whole lines (records) read, skipped ones included."""

    sessions: list[SessionRecord] = []
    messages: list[MessageRecord] = []
    events: list[EventRecord] = []
    lines: int = 0
    skipped: dict[str, int] = {}  # reason -> lines
    unknown: dict[str, int] = {}  # record type -> records
    # For the drift canary: answers without any usage since the last that had some, whether there was one, and how many
    # lines and records of unknown types had been read by then.
    unmetered: int = 0
    metered: bool = False
    metered_lines: int = 0
    metered_unknown: int = 0

    def answer(self, metered: bool) -> None:
        """A finished answer of the model of a kind that bears usage in this format; not one that was aborted."""
        if metered:
            self.unmetered, self.metered = 0, True
            self.metered_lines = self.lines
            if self.unknown:
                self.metered_unknown = sum(self.unknown.values())
        else:
            self.unmetered += 1
