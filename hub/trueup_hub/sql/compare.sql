-- What an agent compares with its ledger when the sums differ (design section 6.6).

-- rejected_rows: rows that count in the ledger's digest by their bytes as received, $5 of them after a place
SELECT table_no, CASE WHEN key_known THEN row_key END AS key, seq, digest, row_key FROM rejections
WHERE host_no = $1 AND ledger_no = $2 AND (table_no, row_key) > ($3::int4, $4::uuid)
ORDER BY table_no, row_key LIMIT $5;

-- bucket_sums: sums of the sessions' digests by the first byte of their key
SELECT get_byte(uuid_send(session_key), 0) AS bucket, mod(sum(digest), 340282366920938463463374607431768211456) AS digest
FROM sessions WHERE host_no = $1 AND ledger_no = $2 GROUP BY 1;

-- bucket_sessions: a ledger's sessions from one key to another, both included, that have rows
SELECT session_key, rows, digest FROM sessions
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND (rows <> 0 OR digest <> 0)
ORDER BY session_key;

-- session_rows: what is stored of a session and not stale
SELECT 1 AS table_no, session_key AS key, coalesce(seq, 0) AS seq, row_digest FROM sessions
WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3 AND row_digest IS NOT NULL AND NOT stale
UNION ALL SELECT 2, message_key, seq, row_digest FROM messages
WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3 AND NOT stale
UNION ALL SELECT 3, event_key, seq, row_digest FROM events
WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3 AND NOT stale;
