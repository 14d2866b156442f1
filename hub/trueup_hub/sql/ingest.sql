-- The statements of a batch's transaction. Keys come sorted wherever rows are locked: that order keeps batches free of
-- deadlocks. LATERAL … OFFSET 0 makes one index probe for each key; `= ANY` over a compound key may scan a whole ledger.

-- add_terms: puts terms into the dictionary
INSERT INTO terms (term) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING;

-- numbers_of_terms: looks terms up
SELECT term_no, term FROM terms WHERE term = ANY($1::text[]);

-- ledger_row: a ledger's position and sums, as the three statements below read them
SELECT host_no, ledger_no, ledger_id, (SELECT host_id FROM hosts h WHERE h.host_no = l.host_no) AS host_id, acked_seq,
  last_batch_id, batch_no, generation, open_generation, opened_batch_no, full_seq, full_target, full_removed, committed,
  digest, rejected_digest, rejected, sessions, messages, events, digest_set, verdict
FROM ledgers l

-- lock_ledger: one writer for each ledger from here on
{ledger_row} WHERE host_no = $1 AND ledger_id = $2 FOR UPDATE;

-- lock_ledger_no: the same by number
{ledger_row} WHERE host_no = $1 AND ledger_no = $2 FOR UPDATE;

-- position_of_ledger: what an agent asks before it pushes
{ledger_row} WHERE host_no = $1 AND ledger_id = $2;

-- stored_receipt: the receipt of a batch that was applied before
SELECT receipt FROM batches WHERE host_no = $1 AND ledger_no = $2 AND batch_id = $3;

-- claim_owners: takes every owner key that nobody has; which were taken. Keys come and go as one string of 16 bytes each
WITH taken AS (
  INSERT INTO event_owners (owner_key, host_no, ledger_no, contested)
  SELECT encode(substr($1::bytea, at, 16), 'hex')::uuid, $2, $3, false FROM generate_series(1, length($1::bytea), 16) at
  ON CONFLICT DO NOTHING RETURNING owner_key
)
SELECT coalesce(string_agg(uuid_send(owner_key), ''::bytea), ''::bytea) FROM taken;

-- own_events: which of these events a ledger has
SELECT e.event_key, e.owner_key, e.row_digest, e.seq, e.unstated, e.stale FROM unnest($3::uuid[]) k
CROSS JOIN LATERAL (
  SELECT event_key, owner_key, row_digest, seq, unstated, stale FROM events
  WHERE host_no = $1 AND ledger_no = $2 AND event_key = k OFFSET 0
) e;

-- remove_event: a row that goes or is about to be replaced
DELETE FROM events WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3 RETURNING {columns};

-- renumber_event: an unchanged row that comes under another seq
UPDATE events SET seq = $4 WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3;

-- set_stale_event: an accepted row whose newer version was refused leaves the sums
UPDATE events SET stale = true WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3 RETURNING {columns};

-- uncount_event: a stale row never counts; the statement before told whether it did
UPDATE events SET counted = false WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3;

-- own_messages: which of these messages a ledger has
SELECT m.message_key, m.session_key, m.row_digest, m.seq, m.stale FROM unnest($3::uuid[]) k
CROSS JOIN LATERAL (
  SELECT message_key, session_key, row_digest, seq, stale FROM messages
  WHERE host_no = $1 AND ledger_no = $2 AND message_key = k OFFSET 0
) m;

-- remove_message: a row that goes or is about to be replaced
DELETE FROM messages WHERE host_no = $1 AND ledger_no = $2 AND message_key = $3 RETURNING {columns};

-- renumber_message: an unchanged row that comes under another seq
UPDATE messages SET seq = $4 WHERE host_no = $1 AND ledger_no = $2 AND message_key = $3;

-- set_stale_message: an accepted row whose newer version was refused leaves the sums
UPDATE messages SET stale = true WHERE host_no = $1 AND ledger_no = $2 AND message_key = $3 RETURNING {columns};

-- claim_sessions: takes every session that nobody has; the keys taken
WITH taken AS (
  INSERT INTO session_owners (session_key, host_no, ledger_no)
  SELECT k, $2, $3 FROM unnest($1::uuid[]) k ON CONFLICT DO NOTHING RETURNING session_key
)
SELECT coalesce(string_agg(uuid_send(session_key), ''::bytea), ''::bytea) FROM taken;

-- lock_sessions: locks sessions in the order of the keys
SELECT o.session_key, o.host_no, o.ledger_no FROM unnest($1::uuid[]) k
CROSS JOIN LATERAL (SELECT * FROM session_owners WHERE session_key = k FOR UPDATE) o;

-- copies_of_sessions: every ledger's copy of these sessions
SELECT s.session_key, s.host_no, s.ledger_no, s.messages, s.rows, s.chosen, s.stale, s.row_digest, s.seq,
  s.started_at, s.harness, s.project
FROM unnest($1::uuid[]) k
CROSS JOIN LATERAL (SELECT * FROM sessions WHERE session_key = k OFFSET 0) s;

-- activity_of_copy: what the messages of one copy of a session add to activity_slots
SELECT floor(extract(epoch FROM at) / 900)::int4 AS slot, harness, project, model, count(*) AS messages,
  count(*) FILTER (WHERE role = $4 AND kind = $5) AS user_messages, coalesce(sum(cardinality(tool_names)), 0) AS tool_calls
FROM messages
WHERE host_no = $1 AND session_key = $3 AND ledger_no = $2 AND NOT stale AND at IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- set_session_owner: which copy of a session is chosen; nulls = none is left
UPDATE session_owners SET host_no = $2, ledger_no = $3 WHERE session_key = $1;

-- choose_session: marks a copy
UPDATE sessions SET chosen = $4 WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- add_to_sessions: adds to the sums of a ledger's copies
INSERT INTO sessions (host_no, ledger_no, session_key, messages, rows, digest, chosen)
SELECT $1, $2, k, m, r, d, c
FROM unnest($3::uuid[], $4::int4[], $5::int4[], $6::numeric[], $7::bool[]) u (k, m, r, d, c)
ON CONFLICT (host_no, ledger_no, session_key) DO UPDATE SET
  messages = sessions.messages + excluded.messages,
  rows = sessions.rows + excluded.rows,
  digest = mod(sessions.digest + excluded.digest, 340282366920938463463374607431768211456),
  chosen = excluded.chosen;

-- put_session: the row's own fields
UPDATE sessions SET row_digest = $4, seq = $5, batch_no = $6, data_version = $7, source_key = $8, harness = $9,
  project = $10, relationship = $11, os_user = $12, started_at = $13, parent_key = $14, session_id = $15,
  git_branch = $16, harness_version = $17, stale = false
WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- renumber_session: an unchanged row that comes under another seq
UPDATE sessions SET seq = $4 WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- clear_session: the row is gone, what belongs to the session may stay
UPDATE sessions SET row_digest = NULL, seq = NULL, batch_no = NULL, data_version = NULL, source_key = NULL, harness = 0,
  project = 0, relationship = 0, os_user = 0, started_at = NULL, parent_key = NULL, session_id = NULL,
  git_branch = NULL, harness_version = NULL, stale = false
WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- set_stale_session: a newer version of the row was refused
UPDATE sessions SET stale = true WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- drop_empty_sessions: copies of which nothing is left
DELETE FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3 AND rows = 0 AND row_digest IS NULL;

-- put_rejection: a row that was refused, for both sides to see
INSERT INTO rejections (host_no, ledger_no, table_no, row_key, key_known, seq, code, reason, digest, batch_no, rejected_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())
ON CONFLICT (host_no, ledger_no, table_no, row_key) DO UPDATE SET seq = excluded.seq, code = excluded.code,
  reason = excluded.reason, digest = excluded.digest, batch_no = excluded.batch_no, rejected_at = excluded.rejected_at;

-- rejections_of: earlier rejections of these rows, and with $5 those without a key, taken away
DELETE FROM rejections WHERE host_no = $1 AND ledger_no = $2 AND ((table_no, row_key) IN (
  SELECT * FROM unnest($3::int4[], $4::uuid[])
) OR ($5 AND NOT key_known)) RETURNING digest;

-- move_ledger: the ledger's new position and sums; $14 = they were compared with the ledger's own
UPDATE ledgers SET acked_seq = $3, full_seq = $4, last_batch_id = $5, batch_no = $6, digest = $7, rejected_digest = $8,
  rejected = $9, sessions = $10, messages = $11, events = $12, verdict = $13, agent_version = $15, parsers = $16,
  policy = $17, digest_set = $18, last_batch_at = now(),
  decided_by = CASE WHEN ledgers.events = 0 THEN $19 ELSE decided_by END,  -- all that it has was decided just now
  converged_at = CASE WHEN $13 = 'converged' AND $14 THEN now() ELSE converged_at END,
  head_digest = coalesce($20, CASE WHEN acked_seq = $3 THEN head_digest END)
WHERE host_no = $1 AND ledger_no = $2;

-- add_to_ledger: what the hub itself took away from a ledger's sums
UPDATE ledgers SET digest = mod(digest + $3, 340282366920938463463374607431768211456),
  sessions = sessions + $4, messages = messages + $5, events = events + $6
WHERE host_no = $1 AND ledger_no = $2;

-- put_batch: the receipt, as sent
INSERT INTO batches
  (host_no, ledger_no, batch_no, batch_id, kind, from_seq, to_seq, received_at, agent_version, receipt)
VALUES ($1, $2, $3, $4, $5, $6, $7, now(), $8, $9);

-- tables_without_statistics: fact tables that were never analysed
SELECT relname FROM pg_class WHERE reltuples < 0 AND relkind = 'r' AND relnamespace = 'public'::regnamespace
  AND relname IN ('events', 'messages', 'sessions', 'event_owners', 'session_owners', 'usage_slots', 'session_slots',
    'session_totals', 'usage_days', 'project_days', 'activity_slots', 'activity_days');
