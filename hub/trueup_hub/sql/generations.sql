-- Full pushes: what their batches confirmed, and what is left to remove when they are committed.

-- put_confirmation: the keys that a full batch held
INSERT INTO confirmations (host_no, ledger_no, from_seq, to_seq, sessions, messages, events)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- drop_confirmations: a generation ends
DELETE FROM confirmations WHERE host_no = $1 AND ledger_no = $2;

-- open_generation: full batches move full_seq to the target from here on
UPDATE ledgers SET open_generation = generation + 1, full_seq = 0, full_target = acked_seq, full_removed = 0,
  opened_batch_no = batch_no
WHERE host_no = $1 AND ledger_no = $2;

-- unconfirmed: keys of rows of one table that no full batch held; EXCEPT has no plan that is slow. A seq beyond the ledger's
-- is none that the ledger gave
SELECT {key} FROM {table}
WHERE host_no = $1 AND ledger_no = $2 AND row_digest IS NOT NULL AND (seq <= $3 OR seq > $4)
EXCEPT
SELECT encode(substr(held, at, 16), 'hex')::uuid
FROM (SELECT {table} || ''::bytea AS held FROM confirmations WHERE host_no = $1 AND ledger_no = $2 OFFSET 0) c
CROSS JOIN LATERAL generate_series(1, length(held), 16) at
LIMIT $5;

-- add_removed: counts what the generation under way removed, however often its commit is interrupted
UPDATE ledgers SET full_removed = full_removed + $3 WHERE host_no = $1 AND ledger_no = $2;

-- forget_rejections: those of rows that came in no batch since the generation was opened, so that the ledger has none
DELETE FROM rejections WHERE host_no = $1 AND ledger_no = $2 AND batch_no <= $3 RETURNING digest;

-- close_generation: the answer is kept for the commit's repeats; where $8 rows had been altered or lost, ownership and
-- rollups are due for a scrub
UPDATE ledgers SET generation = open_generation, open_generation = 0, full_seq = 0, full_target = 0, head_digest = $9,
  rejected = $3, rejected_digest = $4, verdict = $5, committed = $6, agent_version = $7,
  scrubbed_at = CASE WHEN $8 = 0 THEN scrubbed_at END,
  converged_at = CASE WHEN $5 = 'converged' THEN now() ELSE converged_at END
WHERE host_no = $1 AND ledger_no = $2;
