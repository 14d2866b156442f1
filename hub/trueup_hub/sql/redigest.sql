-- The statements of a change of digest set: what rows come to in the new one.

-- set_digest_set: rows are rebuilt and summed in it from here on
UPDATE ledgers SET digest_set = $3 WHERE host_no = $1 AND ledger_no = $2;

-- set_session_sum: of all rows of a session's copy
UPDATE sessions SET digest = $4 WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- forget_rejections: their digests are of the other set, and their bytes are not kept
DELETE FROM rejections WHERE host_no = $1 AND ledger_no = $2;

-- set_ledger_sum: of all rows; the agent's next batch says whether it has the same
UPDATE ledgers SET digest = $3, rejected = 0, rejected_digest = 0, head_digest = NULL,
  verdict = CASE WHEN batch_no = 0 THEN verdict ELSE 'behind' END
WHERE host_no = $1 AND ledger_no = $2;
