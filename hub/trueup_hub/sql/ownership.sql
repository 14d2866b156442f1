-- Statements that decide which copies count. Owner keys come sorted, for their rows are locked in that order.

-- make_owners: owner rows that are missing, vacant
INSERT INTO event_owners (owner_key, contested) SELECT k, false FROM unnest($1::uuid[]) k ON CONFLICT DO NOTHING;

-- lock_owners: locks owners in the order of the keys
SELECT o.owner_key, o.host_no, o.ledger_no, o.contested FROM unnest($1::uuid[]) k
CROSS JOIN LATERAL (SELECT * FROM event_owners WHERE owner_key = k FOR UPDATE) o;

-- precedence: what decides between equal copies, by ledger
SELECT l.ledger_no, h.enrolled_at, h.host_id, l.ledger_id
FROM ledgers l JOIN hosts h USING (host_no) WHERE l.ledger_no = ANY($1::int4[]);

-- parsers_of: data versions as the agents of these ledgers state them
SELECT ledger_no, parsers FROM ledgers WHERE ledger_no = ANY($1::int4[]);

-- claims_of: copies set aside
SELECT c.owner_key, c.host_no, c.ledger_no, c.conflict FROM unnest($1::uuid[]) k
CROSS JOIN LATERAL (SELECT * FROM event_claims WHERE owner_key = k OFFSET 0) c;

-- events_at: copies of other ledgers, whole
SELECT {columns} FROM unnest($1::int4[], $2::int4[], $3::uuid[]) u (h, l, k)
CROSS JOIN LATERAL (SELECT * FROM events WHERE host_no = h AND ledger_no = l AND event_key = k OFFSET 0) e;

-- events_anywhere: every copy of these requests, one probe for each ledger
SELECT {columns} FROM (SELECT host_no AS h, ledger_no AS l FROM ledgers) u CROSS JOIN unnest($1::uuid[]) k
CROSS JOIN LATERAL (
  SELECT * FROM events WHERE host_no = h AND ledger_no = l AND event_key = k AND owner_key IS NULL AND NOT stale OFFSET 0
) e;

-- flip_event: a copy begins or ceases to count
UPDATE events SET counted = $4 WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3 RETURNING {columns};

-- which_are_series: those of these owner keys under which a ledger has a series
SELECT k FROM unnest($1::uuid[]) k WHERE EXISTS (SELECT FROM events WHERE owner_key = k);

-- series_parts: what each ledger has of a series, by what its data version depends on
SELECT owner_key, host_no, ledger_no, harness, coalesce(flags, 0) & 2 <> 0 AS old_data, min(data_version) AS version,
  sum(coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
    + coalesce(output_tokens, 0) + coalesce(input_undivided_tokens, 0) + coalesce(undivided_tokens, 0))::numeric(39)
FROM events WHERE owner_key = ANY($1::uuid[]) AND NOT stale GROUP BY 1, 2, 3, 4, 5;

-- flip_series: all events of a series in one ledger begin or cease to count
UPDATE events SET counted = $4
WHERE owner_key = $3 AND host_no = $1 AND ledger_no = $2 AND NOT stale AND counted <> $4 RETURNING {columns};

-- set_owner: who counts from now on; nulls = vacant
UPDATE event_owners SET host_no = $2, ledger_no = $3, contested = $4 WHERE owner_key = $1;

-- put_claim: a copy set aside
INSERT INTO event_claims (owner_key, host_no, ledger_no, conflict) VALUES ($1, $2, $3, $4)
ON CONFLICT (owner_key, host_no, ledger_no) DO UPDATE SET conflict = excluded.conflict;

-- drop_claim: a copy that counts now, or is gone
DELETE FROM event_claims WHERE owner_key = $1 AND host_no = $2 AND ledger_no = $3;

-- versions_of_ledgers: by which contested copies are ranked, and by which they were
SELECT ledger_no, parsers, decided_by FROM ledgers ORDER BY ledger_no;

-- contested_keys: owner keys, ascending, of which one of these ledgers has one of several copies
SELECT DISTINCT c.owner_key FROM event_claims c
WHERE c.owner_key > $2 AND (c.ledger_no = ANY($1::int4[]) OR EXISTS (
  SELECT FROM event_owners o WHERE o.owner_key = c.owner_key AND o.ledger_no = ANY($1::int4[])
)) ORDER BY c.owner_key LIMIT $3;

-- set_decided_by: contested copies of this ledger are ranked by these versions
UPDATE ledgers SET decided_by = $2 WHERE ledger_no = $1;
