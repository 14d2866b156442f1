-- What was forgotten on this machine (ledger/forget.py).
BEGIN;

-- `forgotten`: logs that show the row again do not bring it back.
ALTER TABLE tombstones ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tombstones_forgotten ON tombstones (table_no) WHERE forgotten = 1;

-- What the rest of a family is decided by, of forgotten events that have one: the columns of events, without what was in
-- them but keys, times and, where a rule reckons with them, the numbers. `seq` is a local number, as in set_aside_events.
CREATE TABLE forgotten_events (
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
    raw_usage BLOB,
    rule TEXT,
    since INTEGER,
    after BLOB,
    observed BLOB,
    gone INTEGER NOT NULL
);
CREATE INDEX forgotten_events_family ON forgotten_events (family);
CREATE INDEX forgotten_events_after ON forgotten_events (after) WHERE after IS NOT NULL;

-- What a forgotten session is called, for when it goes on: the columns of sessions, without what was in them.
CREATE TABLE forgotten_sessions (
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

PRAGMA user_version = 3;
COMMIT;
