-- Statements of scrubbing: sums made to tell the truth about the columns.

-- end_of_slice: the session in which the $4th row from session $3 on lies; null = the rest is less
SELECT least(
  (SELECT session_key FROM events WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3
   ORDER BY session_key OFFSET $4 LIMIT 1),
  (SELECT session_key FROM messages WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3
   ORDER BY session_key OFFSET $4 LIMIT 1),
  (SELECT session_key FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3
   ORDER BY session_key OFFSET $4 LIMIT 1));

-- copies_in_slice: the sums that a ledger's sessions have
SELECT session_key, rows, messages, digest, row_digest IS NULL AS without_row FROM sessions
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4;

-- set_digest: what the columns of a row come to
UPDATE {table} SET row_digest = $4 WHERE host_no = $1 AND ledger_no = $2 AND {key} = $3;

-- set_cost: what an event costs by the price table that it names
UPDATE events SET cost_nanousd = $4 WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3;

-- set_session_sums: the sums of a session's copy, which is made where it was lost
INSERT INTO sessions (host_no, ledger_no, session_key, chosen, rows, messages, digest) VALUES ($1, $2, $3, false, $4, $5, $6)
ON CONFLICT (host_no, ledger_no, session_key) DO UPDATE
SET rows = excluded.rows, messages = excluded.messages, digest = excluded.digest;

-- drop_lost_session: a copy of which nothing is left
DELETE FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- digest_number: a digest as a number ({digest}: a uuid)
(SELECT ('x' || lpad(left(h, 8), 16, '0'))::bit(64)::int8::numeric * 79228162514264337593543950336
  + ('x' || lpad(substr(h, 9, 8), 16, '0'))::bit(64)::int8::numeric * 18446744073709551616
  + ('x' || lpad(substr(h, 17, 8), 16, '0'))::bit(64)::int8::numeric * 4294967296
  + ('x' || lpad(right(h, 8), 16, '0'))::bit(64)::int8 FROM replace({digest}::text, '-', '') h);

-- correct_ledger: makes a ledger's sums those of its sessions and rejections; no row where they are
WITH stored AS (
  SELECT mod(coalesce(sum(digest), 0), 340282366920938463463374607431768211456) AS digest,
    count(*) FILTER (WHERE row_digest IS NOT NULL AND NOT stale) AS sessions,
    coalesce(sum(messages), 0) AS messages, coalesce(sum(rows), 0) AS rows
  FROM sessions WHERE host_no = $1 AND ledger_no = $2
), refused AS (
  SELECT count(*) AS rows, mod(coalesce(sum({digest_number}), 0), 340282366920938463463374607431768211456) AS digest
  FROM rejections WHERE host_no = $1 AND ledger_no = $2
), sums AS (
  SELECT s.digest, r.digest AS rejected_digest, r.rows AS rejected, s.sessions, s.messages,
    s.rows - s.sessions - s.messages AS events
  FROM stored s, refused r
)
UPDATE ledgers l SET digest = s.digest, rejected_digest = s.rejected_digest, rejected = s.rejected,
  sessions = s.sessions, messages = s.messages, events = s.events,
  verdict = CASE WHEN l.digest + l.rejected_digest = s.digest + s.rejected_digest THEN l.verdict ELSE 'diverged' END
FROM sums s WHERE l.host_no = $1 AND l.ledger_no = $2
  AND (l.digest, l.rejected_digest, l.rejected, l.sessions, l.messages, l.events)
    IS DISTINCT FROM (s.digest, s.rejected_digest, s.rejected, s.sessions, s.messages, s.events)
RETURNING l.verdict;

-- note_corrected: rows that were found altered or lost
UPDATE ledgers SET corrected = corrected + $3, corrected_at = now() WHERE host_no = $1 AND ledger_no = $2;

-- note_scrubbed: every row of a ledger was recomputed
UPDATE ledgers SET scrubbed_at = now() WHERE host_no = $1 AND ledger_no = $2;
