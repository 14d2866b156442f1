-- Sessions by how well their requests are known, each with how many are in question: what `quality=` of /sessions asks.
-- $1 and $2 are a range of slots, $3 … $7 filters by host, harness, project, model and provider: null = all. Filled in by
-- analytics/sources.py. What trust.sql counts is counted here by the same conditions.

-- of_usage: {in_question} of a cell is how many of its requests (of unpriced: tokens) are
SELECT session_key, least(sum({in_question}), 9223372036854775807)::int8 AS of_quality
FROM {session_usage}
WHERE {in_question} > 0
GROUP BY session_key

-- set_aside: events of the range that are another copy's to count
SELECT session_key, count(*) AS of_quality
FROM events
WHERE NOT counted AND NOT stale AND at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)
  AND {filters}
GROUP BY session_key

-- conflicting: requests that two hosts have exactly and yet with other numbers, where the copy is that does not count
SELECT e.session_key, count(DISTINCT c.owner_key) AS of_quality
FROM event_claims c
JOIN events e ON e.host_no = c.host_no AND e.ledger_no = c.ledger_no AND e.event_key = c.owner_key
WHERE c.conflict AND e.at >= to_timestamp($1::int8 * 900) AND e.at < to_timestamp($2::int8 * 900)
  AND ($3::int4[] IS NULL OR e.host_no = ANY ($3))
  AND ($4::int4[] IS NULL OR e.harness = ANY ($4))
  AND ($5::int4[] IS NULL OR e.project = ANY ($5))
  AND ($6::int4[] IS NULL OR e.model = ANY ($6))
  AND ($7::int4[] IS NULL OR e.provider = ANY ($7))
GROUP BY e.session_key

-- old_data: counted events of the range that an older parser read, and whose logs are gone (wire.OLD_DATA)
SELECT session_key, count(*) AS of_quality
FROM events
WHERE flags & 2 <> 0 AND counted AND at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)
  AND {filters}
GROUP BY session_key
