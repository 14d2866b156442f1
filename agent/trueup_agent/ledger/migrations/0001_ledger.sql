-- The ledger of one machine (design section 4). Times are microseconds UTC, keys and digests 16 bytes, NULL = unknown.
BEGIN;

-- One row. `digest` is the sum modulo 2^128 of the row digests of sessions, messages and events; `rows` counts them.
CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ledger_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    rows INTEGER NOT NULL,
    digest_set INTEGER NOT NULL
);

-- Small facts by name, as JSON: policy, price digest, last receipt …
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Batches sent, committed durably before the request leaves. The newest are kept.
CREATE TABLE batches (
    batch_no INTEGER PRIMARY KEY,
    batch_id BLOB NOT NULL UNIQUE,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- Rows of each harness, and what parsed them: every row that is not flagged old_data was derived at `floor` or later.
CREATE TABLE harnesses (
    harness TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    sessions INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0,
    events INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Logs, how far they were read and what they looked like then (tail.py says what the marks mean).
CREATE TABLE sources (
    source_key BLOB PRIMARY KEY,
    harness TEXT NOT NULL,
    identity TEXT NOT NULL,
    path TEXT NOT NULL,
    compressed INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('present', 'source_gone', 'truncated', 'rewritten')),
    file_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    head_bytes INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    end_hash BLOB NOT NULL,
    position INTEGER NOT NULL,
    mid_line INTEGER NOT NULL,
    parser_state BLOB,
    data_version INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    skipped TEXT NOT NULL,
    unknown TEXT NOT NULL,
    events INTEGER NOT NULL,
    error TEXT
);
CREATE INDEX sources_path ON sources (path);

-- In every table of rows `seq` is the rowid: a restated row moves to the end, and a batch is a range scan.
CREATE TABLE sessions (
    seq INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    harness TEXT NOT NULL,
    session_id TEXT NOT NULL,
    parent_key BLOB,
    relationship TEXT,
    started_at INTEGER,
    project_path TEXT,
    git_branch TEXT,
    harness_version TEXT,
    os_user TEXT,
    title TEXT,
    fills BLOB,
    source_key BLOB,
    data_version INTEGER NOT NULL,
    old_data INTEGER NOT NULL
);

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    harness TEXT NOT NULL,
    session_key BLOB NOT NULL,
    at INTEGER,
    role TEXT NOT NULL,
    kind TEXT NOT NULL,
    model TEXT,
    tool_names TEXT, -- JSON array
    size_chars INTEGER,
    event_key BLOB,
    project_path TEXT,
    copy INTEGER NOT NULL,
    session_started INTEGER NOT NULL,
    source_key BLOB,
    position INTEGER NOT NULL,
    data_version INTEGER NOT NULL,
    old_data INTEGER NOT NULL
);

-- Counted usage. `fills` names the fields that a less full snapshot supplied (merge.py); `cost_nanousd` is at list price,
-- NULL where there is none; raw_usage and identity let a later release derive the row again when the log is gone.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    harness TEXT NOT NULL,
    session_key BLOB NOT NULL,
    at INTEGER NOT NULL,
    time_quality INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    provider TEXT,
    model TEXT,
    service_tier TEXT,
    speed TEXT,
    project_path TEXT,
    input_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    input_undivided_tokens INTEGER,
    undivided_tokens INTEGER,
    context_tokens INTEGER,
    lower_bounds INTEGER NOT NULL,
    derived INTEGER NOT NULL,
    web_searches INTEGER,
    reported_cost TEXT,
    reported_cost_unit TEXT,
    reported_cost_status TEXT,
    cost_nanousd INTEGER,
    owner_key BLOB,
    family BLOB,
    rank INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    session_started INTEGER NOT NULL,
    source_key BLOB,
    position INTEGER NOT NULL,
    data_version INTEGER NOT NULL,
    old_data INTEGER NOT NULL,
    fills BLOB,
    identity TEXT NOT NULL,
    raw_usage BLOB
);
CREATE INDEX events_family ON events (family) WHERE family IS NOT NULL;

-- Events of a family that another of its rows stands for: kept here with the same columns, never sent.
CREATE TABLE set_aside_events (
    seq INTEGER PRIMARY KEY, -- a local number, not the ledger's
    key BLOB NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    harness TEXT NOT NULL,
    session_key BLOB NOT NULL,
    at INTEGER NOT NULL,
    time_quality INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    provider TEXT,
    model TEXT,
    service_tier TEXT,
    speed TEXT,
    project_path TEXT,
    input_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    input_undivided_tokens INTEGER,
    undivided_tokens INTEGER,
    context_tokens INTEGER,
    lower_bounds INTEGER NOT NULL,
    derived INTEGER NOT NULL,
    web_searches INTEGER,
    reported_cost TEXT,
    reported_cost_unit TEXT,
    reported_cost_status TEXT,
    cost_nanousd INTEGER,
    owner_key BLOB,
    family BLOB,
    rank INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    session_started INTEGER NOT NULL,
    source_key BLOB,
    position INTEGER NOT NULL,
    data_version INTEGER NOT NULL,
    old_data INTEGER NOT NULL,
    fills BLOB,
    identity TEXT NOT NULL,
    raw_usage BLOB
);
CREATE INDEX set_aside_events_family ON set_aside_events (family) WHERE family IS NOT NULL;

-- Keys that were sent and are no longer. A key is in its table or here, never both. table_no as in trueup_shared.keys.
CREATE TABLE tombstones (
    seq INTEGER PRIMARY KEY,
    table_no INTEGER NOT NULL,
    key BLOB NOT NULL,
    UNIQUE (key, table_no)
);

PRAGMA user_version = 1;
COMMIT;
