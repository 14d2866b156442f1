-- What ingest does to rollups. Cells come sorted: that order keeps batches free of deadlocks.

-- upsert_rollup: adds differences to a rollup
INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})
ON CONFLICT ({key}) DO UPDATE SET {sums};

-- drop_empty_session_slots: cells of which nothing is left
DELETE FROM session_slots WHERE host_no = $1 AND session_key = $2 AND slot = $3 AND harness = $4 AND provider = $5
  AND model = $6 AND project = $7 AND n = 0;

-- drop_empty_session_totals: sessions of which nothing is left
DELETE FROM session_totals WHERE session_key = $1 AND n = 0;

-- drop_empty_usage_slots: cells of which nothing is left
DELETE FROM usage_slots WHERE host_no = $1 AND slot = $2 AND harness = $3 AND provider = $4 AND model = $5
  AND project = $6 AND n = 0;

-- drop_empty_usage_days: cells of which nothing is left
DELETE FROM usage_days WHERE zone_no = $1 AND day = $2 AND host_no = $3 AND harness = $4 AND provider = $5
  AND model = $6 AND n = 0;

-- drop_empty_project_days: cells of which nothing is left
DELETE FROM project_days WHERE zone_no = $1 AND day = $2 AND host_no = $3 AND harness = $4 AND provider = $5
  AND model = $6 AND project = $7 AND n = 0;

-- max_of_session_slot: the maximum of a cell that lost its highest event, from the events
UPDATE session_slots SET max_context_tokens = (
  SELECT max(context_tokens) FROM events
  WHERE host_no = $1 AND session_key = $2 AND harness = $4 AND provider = $5 AND model = $6 AND project = $7
    AND counted AND at >= $8 AND at < $8 + interval '15 minutes'
) WHERE host_no = $1 AND session_key = $2 AND slot = $3 AND harness = $4 AND provider = $5 AND model = $6 AND project = $7;

-- max_of_slot: the same from the sessions' cells
UPDATE usage_slots SET max_context_tokens = (
  SELECT max(max_context_tokens) FROM session_slots
  WHERE host_no = $1 AND slot = $2 AND harness = $3 AND provider = $4 AND model = $5 AND project = $6
) WHERE host_no = $1 AND slot = $2 AND harness = $3 AND provider = $4 AND model = $5 AND project = $6;

-- max_of_usage_days: the same from the slots of the day
UPDATE usage_days SET max_context_tokens = (
  SELECT max(max_context_tokens) FROM usage_slots
  WHERE host_no = $3 AND slot >= $7 AND slot < $8 AND harness = $4 AND provider = $5 AND model = $6
) WHERE zone_no = $1 AND day = $2 AND host_no = $3 AND harness = $4 AND provider = $5 AND model = $6;

-- max_of_project_days: the same
UPDATE project_days SET max_context_tokens = (
  SELECT max(max_context_tokens) FROM usage_slots
  WHERE host_no = $3 AND slot >= $8 AND slot < $9 AND harness = $4 AND provider = $5 AND model = $6 AND project = $7
) WHERE zone_no = $1 AND day = $2 AND host_no = $3 AND harness = $4 AND provider = $5 AND model = $6 AND project = $7;

-- look_session_up: what sums cannot tell of a session that lost something, from its slots; by host, for their key begins so
UPDATE session_totals t SET (host_no, harness, project, first_slot, last_slot, max_context_tokens) = (
  c.host_no, c.harness, c.project, c.first_slot, c.last_slot, c.max_context_tokens)
FROM (
  SELECT {one_of_several}, min(slot) AS first_slot, max(slot) AS last_slot, max(max_context_tokens) AS max_context_tokens
  FROM (SELECT DISTINCT s.host_no FROM sessions s WHERE s.session_key = $1) copies
  CROSS JOIN LATERAL (
    SELECT * FROM session_slots s WHERE s.host_no = copies.host_no AND s.session_key = $1 OFFSET 0
  ) cells
  HAVING count(*) > 0
) c
WHERE t.session_key = $1;

-- upsert_activity: adds differences to {table}, by its {key}
INSERT INTO {table} ({key}, messages, user_messages, tool_calls, sessions) SELECT * FROM unnest({arrays})
ON CONFLICT ({key}) DO UPDATE SET
  messages = {table}.messages + excluded.messages,
  user_messages = {table}.user_messages + excluded.user_messages,
  tool_calls = {table}.tool_calls + excluded.tool_calls,
  sessions = {table}.sessions + excluded.sessions;

-- drop_empty_activity_slots: cells of which nothing is left
DELETE FROM activity_slots WHERE host_no = $1 AND slot = $2 AND harness = $3 AND project = $4 AND model = $5
  AND messages = 0 AND sessions = 0;

-- drop_empty_activity_days: cells of which nothing is left
DELETE FROM activity_days WHERE zone_no = $1 AND day = $2 AND host_no = $3 AND harness = $4 AND project = $5 AND model = $6
  AND messages = 0 AND sessions = 0;

-- extent_of_slots: first and last of all
SELECT min(first), max(last) FROM (
  SELECT min(slot) AS first, max(slot) AS last FROM usage_slots UNION ALL SELECT min(slot), max(slot) FROM activity_slots
) extents;

-- fill_days: days of a new zone from the slots; $2 days with their first slots $3
INSERT INTO {table} (zone_no, day, {key}, {columns})
SELECT $1, ($2::date[])[width_bucket(slot, $3::int4[])] AS day, {key}, {sums} FROM {slots} GROUP BY day, {key};

-- known_measures: those that any event ever had
SELECT measure FROM measures;

-- add_measures: further ones
INSERT INTO measures SELECT unnest($1::text[]) ON CONFLICT DO NOTHING;
