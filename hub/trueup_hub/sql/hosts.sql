-- all_hosts: in the order of enrolment, retired ones included; $1 and $2: only one, or only some; null = all. Of these $5
-- after the one that was enrolled at $3 and has number $4
SELECT host_no, host_id, label, labels, kind, platform, enrolled_at, readmitted_at, retired_at, forgotten_at,
       expected_silence_seconds
FROM hosts
WHERE ($1::uuid IS NULL OR host_id = $1) AND ($2::int4[] IS NULL OR host_no = ANY ($2))
  AND ($3::timestamptz IS NULL OR (enrolled_at, host_no) > ($3, $4::int4))
ORDER BY enrolled_at, host_no
LIMIT $5

-- all_ledgers: what is known of every ledger, with what its machine said last; $1 = only of these hosts
SELECT l.host_no, l.ledger_no, l.ledger_id, l.acked_seq, l.batch_no, l.last_batch_at, l.converged_at, l.verdict,
       l.digest, l.rejected, l.sessions, l.messages, l.events, l.agent_version, l.policy, l.parsers::text AS batch_parsers,
       l.generation, l.open_generation, l.full_seq, l.full_target, l.first_contact_at, l.scrubbed_at, l.corrected,
       l.corrected_at, l.heard_at, l.replaces, l.replaced_by, l.replaced_at, l.superseded_at,
       s.seen_at, s.sent_at, s.head_seq, s.agent::text AS agent, s.parsers::text AS parsers, s.skipped_lines, s.unknown_records, s.old_data,
       s.source_gone, s.drift_suspected, s.withheld, s.last_error,
       CASE WHEN l.corrected_at IS NOT NULL THEN (
         SELECT min(b.received_at) FROM batches b
         WHERE b.host_no = l.host_no AND b.ledger_no = l.ledger_no AND b.received_at > l.corrected_at
           AND b.kind <> 'ordinary') END AS mended_at,
       EXISTS (SELECT FROM events e WHERE e.host_no = l.host_no AND e.ledger_no = l.ledger_no AND e.unstated IS NOT NULL)
         AS unstated
FROM ledgers l
LEFT JOIN host_status s USING (host_no, ledger_no)
WHERE $1::int4[] IS NULL OR l.host_no = ANY ($1)
ORDER BY l.host_no, l.ledger_no

-- rejected_of_hosts: why, by ledger, the most frequent reasons first
SELECT host_no, ledger_no, reason, count(*) AS rows
FROM rejections
WHERE host_no = ANY ($1::int4[])
GROUP BY host_no, ledger_no, reason
ORDER BY host_no, ledger_no, count(*) DESC, min(rejected_at), reason

-- change_host: a new label, or other labels; null leaves as it is
UPDATE hosts SET label = coalesce($2, label), labels = coalesce($3::jsonb, labels)
WHERE host_id = $1
RETURNING host_no

-- retire_host: ends its access; what it sent stays and counts
UPDATE hosts SET retired_at = coalesce(retired_at, now()), revoked_at = coalesce(revoked_at, now())
WHERE host_id = $1
RETURNING host_no

-- expected_silence: how long it may say nothing
SELECT expected_silence_seconds FROM hosts WHERE host_no = $1

-- heartbeat: at most every 30 s, or at once when what it says matters to the host's state or flags
INSERT INTO host_status (host_no, ledger_no, seen_at, sent_at, head_seq, rows, pending, agent, parsers, skipped_lines,
                         unknown_records, old_data, source_gone, drift_suspected, withheld, last_error)
VALUES ($1, $2, now(), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (host_no, ledger_no) DO UPDATE
SET seen_at = excluded.seen_at, sent_at = excluded.sent_at, head_seq = excluded.head_seq, rows = excluded.rows,
    pending = excluded.pending, agent = excluded.agent, parsers = excluded.parsers,
    skipped_lines = excluded.skipped_lines, unknown_records = excluded.unknown_records, old_data = excluded.old_data,
    source_gone = excluded.source_gone, drift_suspected = excluded.drift_suspected, withheld = excluded.withheld,
    last_error = excluded.last_error
WHERE host_status.seen_at < excluded.seen_at - interval '30 s'
   OR (host_status.head_seq, host_status.pending, host_status.agent, host_status.parsers, host_status.old_data,
       host_status.drift_suspected, host_status.withheld, host_status.last_error)
      IS DISTINCT FROM (excluded.head_seq, excluded.pending, excluded.agent, excluded.parsers, excluded.old_data,
                        excluded.drift_suspected, excluded.withheld, excluded.last_error)
RETURNING ledger_no

-- name_readmitted: a host that came back without its label says it again
UPDATE hosts SET label = coalesce($2, label), kind = coalesce($3, kind), platform = coalesce($4, platform),
                 expected_silence_seconds = coalesce($5, expected_silence_seconds)
WHERE host_no = $1 AND readmitted_at IS NOT NULL AND label = $6

-- new_terms: words that the dictionary does not have yet
INSERT INTO terms (term) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- sources: those that changed since the last heartbeat
INSERT INTO sources (host_no, ledger_no, source_key, harness, state, bytes_read, lines, skipped_lines, unknown_records,
                     path)
SELECT $1, $2, u.source_key, t.term_no, u.state, u.bytes_read, u.lines, u.skipped_lines, u.unknown_records,
       u.path
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::text[])
  u (source_key, harness, state, bytes_read, lines, skipped_lines, unknown_records, path)
JOIN terms t ON t.term = u.harness
ON CONFLICT (host_no, ledger_no, source_key) DO UPDATE
SET harness = excluded.harness, state = excluded.state, bytes_read = excluded.bytes_read, lines = excluded.lines,
    skipped_lines = excluded.skipped_lines, unknown_records = excluded.unknown_records, path = excluded.path
