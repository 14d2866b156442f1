-- Rules over families of events, events that their log no longer shows, the drift canary, sources of more kinds.
BEGIN;

-- `observed`: what the parser read, where a rule computed the counters that count from it and its family (rules.py).
-- `gone`: the source is there, but no longer shows this event.
ALTER TABLE events ADD COLUMN rule TEXT;
ALTER TABLE events ADD COLUMN since INTEGER;
ALTER TABLE events ADD COLUMN after BLOB;
ALTER TABLE events ADD COLUMN observed BLOB;
ALTER TABLE events ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE set_aside_events ADD COLUMN rule TEXT;
ALTER TABLE set_aside_events ADD COLUMN since INTEGER;
ALTER TABLE set_aside_events ADD COLUMN after BLOB;
ALTER TABLE set_aside_events ADD COLUMN observed BLOB;
ALTER TABLE set_aside_events ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
CREATE INDEX events_source ON events (source_key);
CREATE INDEX set_aside_events_source ON set_aside_events (source_key);
CREATE INDEX events_gone ON events (source_key) WHERE gone = 1;
CREATE INDEX events_after ON events (after) WHERE after IS NOT NULL;
CREATE INDEX set_aside_events_after ON set_aside_events (after) WHERE after IS NOT NULL;

-- What was read since the last answer with usage, and the time of that one (drift.py).
ALTER TABLE sources ADD COLUMN unmetered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN unmetered_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN unmetered_prompts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN unmetered_lines INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN unmetered_unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN metered_at INTEGER;

-- How a source is read, what lies beside it (JSON array of paths), what that looked like when it was last read, and when
-- a database of which only the new rows were read is due to be read whole (0: nothing is due).
ALTER TABLE sources ADD COLUMN kind TEXT NOT NULL DEFAULT 'lines';
ALTER TABLE sources ADD COLUMN companions TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sources ADD COLUMN fingerprint BLOB NOT NULL DEFAULT x'';
ALTER TABLE sources ADD COLUMN full_due_at INTEGER NOT NULL DEFAULT 0;
-- Was it read again by a newer parser, with nothing lost that had been read before (rederive.py)?
ALTER TABLE sources ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;
-- What these lost was not marked: read them again.
UPDATE sources SET file_id = '' WHERE state IN ('truncated', 'rewritten');
CREATE INDEX sources_beside ON sources (companions, source_key) WHERE companions != '[]';

PRAGMA user_version = 2;
COMMIT;
