-- One session: its entries and where its numbers come from. What stands in braces is filled in by analytics/sources.py.

-- entries: messages of session $1, of all its copies where $2, else of the chosen one, each with the event that stands
-- beside it (the first of several messages of one request has it), and events without a message; $6 after ($3, $4, $5)
WITH copies AS (
  SELECT host_no, ledger_no, session_key, chosen FROM sessions WHERE session_key = $1
), said AS (
  SELECT m.message_key AS key, m.ledger_no, m.host_no, m.at, m.event_key,
         row_number() OVER (PARTITION BY m.event_key, CASE WHEN $2::bool THEN m.ledger_no END
                            ORDER BY m.at, m.message_key) AS of_event
  FROM copies CROSS JOIN LATERAL (
    SELECT * FROM messages m WHERE m.host_no = copies.host_no AND m.session_key = copies.session_key
      AND m.ledger_no = copies.ledger_no AND NOT stale OFFSET 0) m
  WHERE chosen OR $2
), used AS (
  SELECT coalesce(said.key, e.event_key) AS key, coalesce(said.ledger_no, e.ledger_no) AS ledger_no,
         coalesce(said.host_no, e.host_no) AS host_no, said.key IS NULL AS alone, e.at,
         e.host_no AS event_host_no, e.ledger_no AS event_ledger_no, e.event_key
  FROM copies CROSS JOIN LATERAL (
    SELECT * FROM events e WHERE e.host_no = copies.host_no AND e.session_key = copies.session_key
      AND e.ledger_no = copies.ledger_no AND NOT stale AND (counted OR $2) OFFSET 0) e
  LEFT JOIN said ON said.event_key = e.event_key AND of_event = 1 AND (said.ledger_no = e.ledger_no OR NOT $2)
), entries AS (
  SELECT key, ledger_no, host_no, at FROM said UNION ALL SELECT key, ledger_no, host_no, at FROM used WHERE alone
), page AS (
  SELECT key, ledger_no, host_no, micros
  FROM entries CROSS JOIN LATERAL (
    SELECT coalesce((extract(epoch FROM at) * 1000000)::int8, 9223372036854775807) AS micros) t
  WHERE $3::int8 IS NULL OR (micros, key, ledger_no) > ($3, $4::uuid, $5::int4)
  ORDER BY micros, key, ledger_no LIMIT $6
)
SELECT page.*, u.event_host_no, u.event_ledger_no, u.event_key, m.message_key, m.at AS said_at, m.role, m.kind,
       m.model AS said_model, m.tool_names, m.size_chars, m.event_key AS said_event_key
FROM page LEFT JOIN used u USING (key, ledger_no)
LEFT JOIN messages m ON m.host_no = page.host_no AND m.ledger_no = page.ledger_no AND m.message_key = page.key
ORDER BY micros, key, ledger_no

-- events_of_entries: events ($1 host, $2 ledger, $3 key), and in which ledger the copy is that counts
SELECT e.*, o.ledger_no AS counting_ledger_no
FROM unnest($1::int4[], $2::int4[], $3::uuid[]) u (h, l, k)
CROSS JOIN LATERAL (SELECT * FROM events WHERE host_no = h AND ledger_no = l AND event_key = k OFFSET 0) e
LEFT JOIN event_owners o ON o.owner_key = coalesce(e.owner_key, e.event_key)

-- places: hosts and ids of ledgers $1
SELECT l.ledger_no, l.ledger_id, h.host_id, h.label
FROM ledgers l JOIN hosts h USING (host_no) WHERE l.ledger_no = ANY ($1::int4[])

-- terms: what numbers $1 stand for
SELECT term_no, nullif(term, '') AS term FROM terms WHERE term_no = ANY ($1::int4[])

-- parts: what each ledger has of session $1, by source, harness, provider, model, and whose copy counts
WITH copies AS (SELECT host_no, ledger_no, session_key FROM sessions WHERE session_key = $1)
SELECT used.ledger_no, used.source_key, used.harness, used.provider, used.model, used.counted,
       CASE WHEN NOT used.counted THEN o.ledger_no END AS counting_ledger_no, {sums},
       count(*) FILTER (WHERE c.conflict) AS conflicts, min(used.at) AS first_at, max(used.at) AS last_at,
       array_agg(DISTINCT used.data_version) AS data_versions, array_agg(DISTINCT used.price_no) AS price_numbers,
       min(used.batch_no) AS first_batch_no, max(used.batch_no) AS last_batch_no,
       count(*) FILTER (WHERE used.time_quality = 1) AS of_record,
       count(*) FILTER (WHERE used.time_quality = 2) AS of_session,
       count(*) FILTER (WHERE used.time_quality = 3) AS of_file,
       count(*) FILTER (WHERE used.flags & 1 <> 0) AS clock_skew,
       count(*) FILTER (WHERE used.flags & 2 <> 0) AS old_data,
       count(*) FILTER (WHERE used.unstated IS NOT NULL) AS unstated
FROM {events_of_copies}
LEFT JOIN event_owners o ON NOT used.counted AND o.owner_key = coalesce(used.owner_key, used.event_key)
LEFT JOIN event_claims c ON c.owner_key = o.owner_key AND c.host_no = used.host_no AND c.ledger_no = used.ledger_no
GROUP BY 1, 2, 3, 4, 5, 6, 7

-- price_tables: which tables numbers $1 are
SELECT price_no, digest, dated FROM prices WHERE price_no = ANY ($1::int4[])

-- copies: in which ledgers session $1 is, what of each counts, and how it came here
SELECT s.ledger_no, s.chosen, s.stale, s.messages, s.seq, s.batch_no, s.data_version, b.received_at,
       l.agent_version, l.generation, l.verdict, l.converged_at, s.source_key, f.path AS source_path,
       f.state AS source_state, e.*
FROM sessions s
JOIN hosts h USING (host_no)
JOIN ledgers l USING (host_no, ledger_no)
LEFT JOIN batches b ON b.host_no = s.host_no AND b.ledger_no = s.ledger_no AND b.batch_no = s.batch_no
LEFT JOIN sources f ON f.host_no = s.host_no AND f.ledger_no = s.ledger_no AND f.source_key = s.source_key
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE counted) AS events_counted, count(*) FILTER (WHERE NOT counted) AS events_set_aside
  FROM events e WHERE e.host_no = s.host_no AND e.ledger_no = s.ledger_no AND e.session_key = s.session_key AND NOT e.stale
) e
WHERE s.session_key = $1
ORDER BY s.chosen DESC, h.host_id, l.ledger_id

-- usage_by_model: what session $1 used, model by model
WITH copies AS (SELECT DISTINCT host_no, session_key FROM sessions WHERE session_key = $1)
SELECT nullif(term, '') AS model, {sums}
FROM {usage_of_copies}
JOIN terms ON term_no = model
GROUP BY term

-- usage_of: what sessions $1 used, over their whole life
WITH copies AS (SELECT DISTINCT host_no, session_key FROM sessions WHERE session_key = ANY ($1::uuid[]))
SELECT used.session_key, {sums}
FROM {usage_of_copies}
GROUP BY used.session_key

-- children: sessions that name session $1 as their parent, $2 at most, and how many there are
SELECT session_key, count(*) OVER () AS of
FROM (SELECT DISTINCT session_key FROM sessions WHERE parent_key = $1 AND chosen) s
ORDER BY session_key LIMIT $2

-- subagents: subagents of session $1, and theirs
WITH RECURSIVE family AS (
  SELECT $1::uuid AS session_key
  UNION
  SELECT s.session_key
  FROM family f JOIN sessions s ON s.parent_key = f.session_key AND s.chosen
  JOIN terms t ON t.term_no = s.relationship AND t.term = 'subagent'
)
SELECT session_key FROM family WHERE session_key <> $1
