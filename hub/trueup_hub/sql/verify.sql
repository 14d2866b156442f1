-- Recomputes what ingest keeps up to date, by other means: tests do it after every scenario.

-- ledger_digest: the running sum
SELECT digest FROM ledgers WHERE host_no = $1 AND ledger_no = $2;

-- of_a_host: differences of one host, or with null of all
SELECT * FROM ({differences}) d WHERE $1::int4 IS NULL OR host_no = $1;

-- of_a_host_3: the same where $1 and $2 are taken
SELECT * FROM ({differences}) d WHERE $3::int4 IS NULL OR host_no = $3;

-- count_by_host: how many differences each host has
SELECT host_no, count(*) AS rows FROM ({differences}) d GROUP BY 1 ORDER BY 1;

-- digest_set_of: the set that a ledger's rows are summed in
SELECT digest_set FROM ledgers WHERE host_no = $1 AND ledger_no = $2;

-- all_terms: the dictionary
SELECT term_no, term FROM terms;

-- session_rows: session rows as they were sent
SELECT *, session_key AS key FROM sessions
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND row_digest IS NOT NULL AND NOT stale
  AND ({possible_session});

-- message_rows: message rows as they were sent
SELECT *, message_key AS key FROM messages
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND NOT stale
  AND ({possible_message});

-- event_rows: event rows as they were sent
SELECT *, event_key AS key FROM events
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND NOT stale
  AND ({possible_event});

-- possible_event: what any agent can have sent; other values are beyond what rollups and Python can hold
at >= '2015-01-01 00:00:00+00' AND at < '2100-01-01 00:00:00+00'
AND coalesce(least(input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens,
  reasoning_tokens, input_undivided_tokens, undivided_tokens, context_tokens, web_searches), 0) >= 0
AND coalesce(greatest(input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens,
  reasoning_tokens, input_undivided_tokens, undivided_tokens, context_tokens, web_searches), 0) <= 9007199254740991
AND coalesce(reported_cost, '0') ~ '^[0-9]{1,9}([.][0-9]{1,18})?$';

-- possible_message: the same
coalesce(at >= '2015-01-01 00:00:00+00' AND at < '2100-01-01 00:00:00+00', true)
AND coalesce(size_chars, 0) BETWEEN 0 AND 9007199254740991;

-- possible_session: the same
coalesce(started_at >= '2015-01-01 00:00:00+00' AND started_at < '2100-01-01 00:00:00+00', true);

-- impossible_rows: rows that no agent can have sent, and rows of no ledger
SELECT host_no, ledger_no, event_key AS key FROM events LEFT JOIN ledgers l USING (host_no, ledger_no)
WHERE l.ledger_id IS NULL OR NOT ({event})
UNION ALL SELECT host_no, ledger_no, message_key FROM messages LEFT JOIN ledgers l USING (host_no, ledger_no)
WHERE l.ledger_id IS NULL OR NOT ({message})
UNION ALL SELECT host_no, ledger_no, session_key FROM sessions LEFT JOIN ledgers l USING (host_no, ledger_no)
WHERE l.ledger_id IS NULL OR NOT ({session});

-- measures: events spread out to what each adds to a rollup cell (one column for each measure)
SELECT e.*, floor(extract(epoch FROM at) / 900)::int4 AS slot, {spread},
  total_tokens AS s_total_tokens,
  (((input_tokens IS NOT NULL OR input_undivided_tokens IS NOT NULL) AND output_tokens IS NOT NULL)
    OR undivided_tokens IS NOT NULL)::int AS r_total_tokens,
  (coalesce(lower_bounds, 0) & {total_bits} <> 0)::int AS l_total_tokens,
  (coalesce(derived, 0) & {total_bits} <> 0)::int AS d_total_tokens,
  cost_nanousd AS s_cost,
  (cost_nanousd IS NOT NULL)::int AS r_cost,
  (cost_nanousd IS NOT NULL AND coalesce(lower_bounds, 0) & {priced_bits} <> 0)::int AS l_cost,
  CASE WHEN cost_nanousd IS NULL THEN total_tokens END AS unpriced_tokens,
  cache_savings_nanousd AS s_cache_savings,
  (cache_savings_nanousd IS NOT NULL)::int AS r_cache_savings,
  (cache_savings_nanousd IS NOT NULL AND coalesce(lower_bounds, 0) & {cached_bits} <> 0)::int AS l_cache_savings,
  web_searches AS s_web_searches,
  (web_searches IS NOT NULL)::int AS r_web_searches,
  CASE WHEN u.term = 'usd' THEN round(reported_cost::numeric * 1000000000) END AS s_reported_usd,
  (u.term = 'usd' AND reported_cost IS NOT NULL)::int AS r_reported_usd,
  CASE WHEN u.term = 'credits' THEN round(reported_cost::numeric * 1000000000) END AS s_reported_credits,
  (u.term = 'credits' AND reported_cost IS NOT NULL)::int AS r_reported_credits
FROM events e JOIN terms u ON u.term_no = e.reported_cost_unit
CROSS JOIN LATERAL (
  SELECT coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
    + coalesce(output_tokens, 0) + coalesce(input_undivided_tokens, 0) + coalesce(undivided_tokens, 0) AS total_tokens
) t
WHERE ({possible}) AND ({condition});

-- differing_cells: cells of a rollup that are not what their source says; as JSON, null where there is none
WITH source AS ({source}),
expected AS (SELECT {key}, {sums} FROM source GROUP BY {groups}),
actual AS (SELECT {columns} FROM {table} WHERE {condition})
SELECT {names}, {whose} to_jsonb(e) AS expected, to_jsonb(a) AS actual
FROM expected e FULL JOIN actual a USING ({names})
WHERE ({expected}) IS DISTINCT FROM ({actual}) ORDER BY {names} LIMIT {limit};

-- host_of_session: one of those that have it; 0 = nobody has
coalesce(nullif(e.host_no, -1), (SELECT min(s.host_no) FROM sessions s WHERE s.session_key IN (e.session_key, a.session_key)),
  nullif(a.host_no, -1), 0) AS host_no,;

-- set_zone: dates are of zone $1 until the transaction ends. AT TIME ZONE takes 'CET' and its like for an abbreviation,
-- which has no summer time
SELECT set_config('timezone', $1, true);

-- unnoted_measures: what cells have and reads would not add up
SELECT host_no, measure FROM (SELECT host_no, {sums} FROM usage_slots WHERE {condition} GROUP BY host_no) s
CROSS JOIN LATERAL jsonb_each_text(to_jsonb(s) - 'host_no') one (measure, value)
WHERE value IS NOT NULL AND (value <> '0' OR measure LIKE 'max%') AND measure NOT IN (SELECT measure FROM measures);

-- activity_parts: what messages and sessions of chosen copies add to activity_slots; of one host, or with null of all
SELECT m.host_no, m.at, floor(extract(epoch FROM m.at) / 900)::int4 AS slot, m.harness, m.project, m.model, 1 AS messages,
  (r.term = 'user' AND k.term = 'prompt')::int AS user_messages, coalesce(cardinality(m.tool_names), 0) AS tool_calls,
  0 AS sessions
FROM messages m JOIN sessions s USING (host_no, ledger_no, session_key)
JOIN terms r ON r.term_no = m.role JOIN terms k ON k.term_no = m.kind
WHERE ($1::int4 IS NULL OR m.host_no = $1) AND s.chosen AND NOT m.stale
  AND m.at >= '2015-01-01 00:00:00+00' AND m.at < '2100-01-01 00:00:00+00'
UNION ALL
SELECT host_no, started_at, floor(extract(epoch FROM started_at) / 900)::int4, harness, project, 0, 0, 0, 0, 1
FROM sessions WHERE ($1::int4 IS NULL OR host_no = $1) AND chosen AND NOT stale
  AND started_at >= '2015-01-01 00:00:00+00' AND started_at < '2100-01-01 00:00:00+00';

-- session_differences: copies whose sums are not those of their rows
WITH rows AS (
  SELECT host_no, ledger_no, session_key, row_digest, 0 AS messages FROM events WHERE NOT stale
  UNION ALL SELECT host_no, ledger_no, session_key, row_digest, 1 FROM messages WHERE NOT stale
  UNION ALL SELECT host_no, ledger_no, session_key, row_digest, 0 FROM sessions WHERE NOT stale AND row_digest IS NOT NULL
), expected AS (
  SELECT host_no, ledger_no, session_key, count(*) AS rows, sum(messages) AS messages,
    mod(sum(('x' || lpad(left(h, 8), 16, '0'))::bit(64)::int8::numeric * 79228162514264337593543950336
      + ('x' || lpad(substr(h, 9, 8), 16, '0'))::bit(64)::int8::numeric * 18446744073709551616
      + ('x' || lpad(substr(h, 17, 8), 16, '0'))::bit(64)::int8::numeric * 4294967296
      + ('x' || lpad(right(h, 8), 16, '0'))::bit(64)::int8), 340282366920938463463374607431768211456) AS digest
  FROM rows, replace(row_digest::text, '-', '') h GROUP BY 1, 2, 3
)
SELECT coalesce(s.host_no, e.host_no) AS host_no, coalesce(s.ledger_no, e.ledger_no) AS ledger_no,
  coalesce(s.session_key, e.session_key) AS session_key, s.rows, e.rows AS expected_rows
FROM sessions s FULL JOIN expected e USING (host_no, ledger_no, session_key)
WHERE (s.rows, s.messages, s.digest) IS DISTINCT FROM (e.rows, e.messages, e.digest)
  AND (e.rows IS NOT NULL OR s.rows IS DISTINCT FROM 0 OR s.row_digest IS NULL);

-- ledger_differences: ledgers whose sums are not those of their sessions
WITH sums AS (
  SELECT host_no, ledger_no, mod(coalesce(sum(digest), 0), 340282366920938463463374607431768211456) AS digest,
    coalesce(sum(rows), 0) AS rows, coalesce(sum(messages), 0) AS messages
  FROM sessions GROUP BY 1, 2
)
SELECT l.host_no, l.ledger_no FROM ledgers l LEFT JOIN sums s USING (host_no, ledger_no)
WHERE (l.digest, l.sessions + l.messages + l.events, l.messages)
  IS DISTINCT FROM (coalesce(s.digest, 0), coalesce(s.rows, 0), coalesce(s.messages, 0));

-- version_and_total: the effective data version of a copy, and what it bills (cap, l, n: as in ranked_events)
CROSS JOIN LATERAL (SELECT least(coalesce(cap.version, 0), CASE WHEN coalesce(e.flags, 0) & 2 <> 0 THEN e.data_version
  ELSE greatest(e.data_version, (l.parsers -> n.term ->> 'floor')::int4) END) AS version) v
CROSS JOIN LATERAL (SELECT coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
  + coalesce(output_tokens, 0) + coalesce(input_undivided_tokens, 0) + coalesce(undivided_tokens, 0) AS total) t;

-- quality: what is known of the output of a copy: nothing, a lower bound, a difference, or itself
CROSS JOIN LATERAL (SELECT CASE
  WHEN output_tokens IS NULL THEN 0 WHEN coalesce(lower_bounds, 0) & 16 <> 0 THEN 1
  WHEN coalesce(derived, 0) & 16 <> 0 THEN 2 ELSE 3 END AS quality) q;

-- ranked_events: for every copy of a request the rule's order: 1 counts
SELECT e.host_no, e.ledger_no, e.event_key, e.counted, row_number() OVER (
  PARTITION BY e.event_key ORDER BY q.quality DESC, v.version DESC, CASE WHEN q.quality < 3 THEN t.total END DESC,
    h.enrolled_at, h.host_id, l.ledger_id
) AS place
FROM events e JOIN hosts h USING (host_no) JOIN ledgers l USING (host_no, ledger_no)
LEFT JOIN unnest($1::int4[], $2::int4[]) cap (harness, version) ON cap.harness = e.harness
JOIN terms n ON n.term_no = e.harness
{quality}
{version_and_total}
WHERE NOT stale AND owner_key IS NULL;

-- owner_differences: copies that count against the rule, or that owners and claims do not know as such
WITH ranked AS ({ranked})
SELECT r.* FROM ranked r LEFT JOIN event_owners o ON o.owner_key = r.event_key
LEFT JOIN event_claims c ON (c.owner_key, c.host_no, c.ledger_no) = (r.event_key, r.host_no, r.ledger_no)
WHERE r.counted <> (r.place = 1) OR (o.ledger_no IS NOT DISTINCT FROM r.ledger_no) <> r.counted
  OR (c.owner_key IS NULL) <> r.counted OR (NOT r.counted AND NOT o.contested);

-- conflict_differences: copies set aside of which the claim says wrongly whether they are exact, as the one that counts is,
-- at the same data version, with other numbers
WITH contested AS (
  SELECT owner_key AS key, host_no, ledger_no FROM event_claims
  UNION ALL SELECT owner_key, host_no, ledger_no FROM event_owners WHERE contested
), copies AS (
  SELECT e.host_no, e.ledger_no, e.event_key, q.quality, v.version, ROW(input_tokens, cache_read_tokens,
    cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_undivided_tokens, undivided_tokens,
    context_tokens) AS counters
  FROM contested k JOIN events e ON (e.host_no, e.ledger_no, e.event_key) = (k.host_no, k.ledger_no, k.key)
  JOIN ledgers l ON l.host_no = e.host_no AND l.ledger_no = e.ledger_no
  LEFT JOIN unnest($1::int4[], $2::int4[]) cap (harness, version) ON cap.harness = e.harness
  JOIN terms n ON n.term_no = e.harness
  {quality}
  {version_and_total}
  WHERE NOT stale AND owner_key IS NULL
)
SELECT c.host_no, c.ledger_no, c.owner_key, c.conflict
FROM event_claims c JOIN event_owners o USING (owner_key)
JOIN copies aside ON (aside.host_no, aside.ledger_no, aside.event_key) = (c.host_no, c.ledger_no, c.owner_key)
JOIN copies counts ON (counts.host_no, counts.ledger_no, counts.event_key) = (o.host_no, o.ledger_no, o.owner_key)
WHERE c.conflict <> (aside.quality = 3 AND counts.quality = 3 AND aside.version = counts.version
  AND aside.counters IS DISTINCT FROM counts.counters);

-- series_differences: series that do not count from the ledger with the highest data version, then the greatest sum
WITH totals AS (
  SELECT e.owner_key, e.host_no, e.ledger_no, bool_and(counted) AS all_counted, bool_or(counted) AS any_counted,
    row_number() OVER (PARTITION BY e.owner_key ORDER BY min(v.version) DESC, sum(t.total) DESC, min(h.enrolled_at),
      h.host_id, l.ledger_id) AS place
  FROM events e JOIN hosts h USING (host_no) JOIN ledgers l USING (host_no, ledger_no)
  LEFT JOIN unnest($1::int4[], $2::int4[]) cap (harness, version) ON cap.harness = e.harness
  JOIN terms n ON n.term_no = e.harness
  {version_and_total}
  WHERE owner_key IS NOT NULL AND NOT stale GROUP BY e.owner_key, e.host_no, e.ledger_no, h.host_id, l.ledger_id
)
SELECT t.* FROM totals t LEFT JOIN event_owners o USING (owner_key)
WHERE all_counted <> any_counted OR any_counted <> (place = 1)
  OR (o.ledger_no IS NOT DISTINCT FROM t.ledger_no) <> any_counted AND NOT EXISTS (
    SELECT FROM events e WHERE (e.host_no, e.ledger_no, e.event_key) = (o.host_no, o.ledger_no, o.owner_key)
      AND e.owner_key IS NULL);

-- stray_owners: owners, claims and counted rows that stand for no copy
SELECT 'owner' AS kind, o.owner_key, o.host_no, o.ledger_no FROM event_owners o WHERE o.ledger_no IS NOT NULL
  AND NOT EXISTS (SELECT FROM events e WHERE (e.host_no, e.ledger_no, e.event_key) = (o.host_no, o.ledger_no, o.owner_key))
  AND NOT EXISTS (SELECT FROM events e WHERE e.owner_key = o.owner_key AND e.ledger_no = o.ledger_no)
UNION ALL SELECT 'claim', c.owner_key, c.host_no, c.ledger_no FROM event_claims c
WHERE NOT EXISTS (SELECT FROM event_owners o WHERE o.owner_key = c.owner_key AND o.contested)
  OR (NOT EXISTS (
      SELECT FROM events e WHERE (e.host_no, e.ledger_no, e.event_key) = (c.host_no, c.ledger_no, c.owner_key)
    ) AND NOT EXISTS (SELECT FROM events e WHERE e.owner_key = c.owner_key AND e.ledger_no = c.ledger_no))
UNION ALL SELECT 'stale', event_key, host_no, ledger_no FROM events WHERE stale AND counted;

-- chosen_differences: sessions whose chosen copy is not the one with the most messages by log2, then by order
WITH ranked AS (
  SELECT s.session_key, s.host_no, s.ledger_no, s.chosen, row_number() OVER (
    PARTITION BY s.session_key
    ORDER BY CASE WHEN s.messages > 0 THEN floor(log(2, s.messages)) ELSE -1 END DESC, h.enrolled_at, h.host_id, l.ledger_id
  ) AS place
  FROM sessions s JOIN hosts h USING (host_no) JOIN ledgers l USING (host_no, ledger_no) WHERE s.rows > 0
)
SELECT r.* FROM ranked r LEFT JOIN session_owners o USING (session_key)
WHERE r.chosen <> (r.place = 1) OR (o.ledger_no IS NOT DISTINCT FROM r.ledger_no) <> r.chosen;

-- all_ledgers: every ledger
SELECT host_no, ledger_no FROM ledgers ORDER BY 1, 2;

-- labels: what hosts are called
SELECT host_no, host_id, label FROM hosts;

-- diverged_ledgers: ledgers whose agents have rows to bring again
SELECT ledger_id, host_id, label FROM ledgers JOIN hosts USING (host_no) WHERE verdict = 'diverged' ORDER BY label, ledger_no;
