-- Forgetting a host, in chunks.

-- host_number: of a host that is there
SELECT host_no FROM hosts WHERE host_id = $1;

-- mark_forgotten: its access ends and its rows go, as the audit tells for ever; nothing when that was said before
WITH marked AS (
  UPDATE hosts SET forgotten_at = now(), revoked_at = coalesce(revoked_at, now())
  WHERE host_id = $1 AND forgotten_at IS NULL RETURNING host_id
)
INSERT INTO audit (at, actor, action, subject) SELECT now(), $2, 'host.forget', host_id::text FROM marked;

-- marked_host: of one that is being forgotten
SELECT host_no FROM hosts WHERE host_id = $1 AND forgotten_at IS NOT NULL;

-- marked_hosts: hosts that are being forgotten
SELECT host_id FROM hosts WHERE forgotten_at IS NOT NULL ORDER BY forgotten_at, host_no;

-- ledgers_of_host: its ledgers
SELECT ledger_no FROM ledgers WHERE host_no = $1 ORDER BY ledger_no;

-- rows_left: rows of the host that count in its ledgers' sums
SELECT coalesce(sum(sessions + messages + events), 0)::int8 FROM ledgers WHERE host_no = $1;

-- some_events: session by session, so that most cells of the rollups go whole
SELECT event_key FROM events WHERE host_no = $1 AND ledger_no = $2 ORDER BY session_key LIMIT $3;

-- some_messages: session by session
SELECT message_key FROM messages WHERE host_no = $1 AND ledger_no = $2 ORDER BY session_key LIMIT $3;

-- some_sessions: rows of sessions
SELECT session_key FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND row_digest IS NOT NULL LIMIT $3;

-- has_rows: whether anything of a ledger is left
SELECT EXISTS (SELECT FROM events WHERE host_no = $1 AND ledger_no = $2)
  OR EXISTS (SELECT FROM messages WHERE host_no = $1 AND ledger_no = $2)
  OR EXISTS (SELECT FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND row_digest IS NOT NULL);

-- lock_ledger_row: no batch of it is under way
SELECT FROM ledgers WHERE host_no = $1 AND ledger_no = $2 FOR UPDATE;

-- remove_sources: of a ledger that goes
DELETE FROM sources WHERE host_no = $1 AND ledger_no = $2;

-- remove_host_status: of a ledger that goes
DELETE FROM host_status WHERE host_no = $1 AND ledger_no = $2;

-- remove_rejections: of a ledger that goes
DELETE FROM rejections WHERE host_no = $1 AND ledger_no = $2;

-- remove_batches: of a ledger that goes
DELETE FROM batches WHERE host_no = $1 AND ledger_no = $2;

-- remove_confirmations: of a ledger that goes
DELETE FROM confirmations WHERE host_no = $1 AND ledger_no = $2;

-- remove_directives: of a ledger that goes
DELETE FROM directives WHERE host_no = $1 AND ledger_no = $2;

-- remove_ledgers: the ledger itself
DELETE FROM ledgers WHERE host_no = $1 AND ledger_no = $2;

-- remove_host: when none of its ledgers is left
DELETE FROM hosts WHERE host_no = $1 AND forgotten_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM ledgers l WHERE l.host_no = $1) RETURNING host_no;
