-- What agents are asked to do. `unfinished` is open or running; what has come to nothing is judged from facts when it is
-- read (directives.py), so that an agent that was updated or comes back late is taken at its word.

-- host_to_ask: one request at a time for a host, so that two of them make one directive
SELECT host_no, retired_at, revoked_at, forgotten_at FROM hosts WHERE host_id = $1 FOR UPDATE

-- ledgers_to_ask: those that a machine still writes, and what their agents can do as far as they said
SELECT l.ledger_no, s.agent
FROM ledgers l
LEFT JOIN host_status s USING (host_no, ledger_no)
WHERE l.host_no = $1 AND l.superseded_at IS NULL AND l.replaced_by IS NULL
ORDER BY l.ledger_no

-- unfinished: of one ledger, the oldest first
SELECT d.directive_id, d.kind, d.state, d.asked_at, d.heard_at,
       h.retired_at, h.forgotten_at, h.expected_silence_seconds, l.replaced_by
FROM directives d
JOIN hosts h USING (host_no)
JOIN ledgers l USING (host_no, ledger_no)
WHERE d.host_no = $1 AND d.ledger_no = $2 AND d.state IN ('open', 'running')
ORDER BY d.asked_at, d.directive_id

-- directives_of_hosts: everything that was asked, the newest first; $2 of each ledger at most
SELECT d.host_no, l.ledger_id, d.directive_id, d.kind, d.state, d.asked_by, d.reason, d.asked_at, d.heard_at, d.done,
       d.of, d.note, h.retired_at, h.forgotten_at, h.expected_silence_seconds, l.replaced_by, s.agent
FROM (SELECT *, row_number() OVER (PARTITION BY host_no, ledger_no ORDER BY asked_at DESC, directive_id) AS nth
      FROM directives
      WHERE $1::int4[] IS NULL OR host_no = ANY ($1)) d
JOIN hosts h USING (host_no)
JOIN ledgers l USING (host_no, ledger_no)
LEFT JOIN host_status s USING (host_no, ledger_no)
WHERE d.nth <= $2
ORDER BY d.asked_at DESC, d.directive_id

-- add_directive: asked once
INSERT INTO directives (host_no, ledger_no, directive_id, kind, asked_by, reason, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, now())

-- give_up: asked for anew; why the first one came to nothing is kept
UPDATE directives SET state = 'given_up', note = $4 WHERE host_no = $1 AND ledger_no = $2 AND directive_id = $3

-- record_reports: what an agent says counts, also of what was given up; what is done stays done. That it still works on it
-- is written every 30 s at most
UPDATE directives d
SET state = u.state, done = u.done, of = u.of, note = u.note, heard_at = now()
FROM unnest($3::uuid[], $4::text[], $5::int8[], $6::int8[], $7::text[]) u (directive_id, state, done, of, note)
WHERE d.host_no = $1 AND d.ledger_no = $2 AND d.directive_id = u.directive_id
  AND d.state IN ('open', 'running', 'given_up')
  AND ((d.state, d.done, d.of, d.note) IS DISTINCT FROM (u.state, u.done, u.of, u.note)
       OR d.heard_at < now() - interval '30 s')
RETURNING d.directive_id
