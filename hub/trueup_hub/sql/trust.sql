-- What stands beside a number: copies set aside, conflicts, tokens without a price.
-- $1 and $2 are a range of slots, $3 … $7 filters by host, harness, project, model and provider: null = all.
-- {filters} stands for all five (analytics/sources.py).

-- set_aside: events of the range that are another copy's to count
SELECT count(*)
FROM events
WHERE NOT counted AND NOT stale AND at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)
  AND {filters}

-- conflicts: requests that two hosts have exactly and yet with other numbers
SELECT count(DISTINCT c.owner_key)
FROM event_claims c
JOIN events e ON e.host_no = c.host_no AND e.ledger_no = c.ledger_no AND e.event_key = c.owner_key
WHERE c.conflict AND e.at >= to_timestamp($1::int8 * 900) AND e.at < to_timestamp($2::int8 * 900)
  AND ($3::int4[] IS NULL OR e.host_no = ANY ($3))
  AND ($4::int4[] IS NULL OR e.harness = ANY ($4))
  AND ($5::int4[] IS NULL OR e.project = ANY ($5))
  AND ($6::int4[] IS NULL OR e.model = ANY ($6))
  AND ($7::int4[] IS NULL OR e.provider = ANY ($7))

-- old_data: counted events of the range that an older parser read, and whose logs are gone (wire.OLD_DATA)
SELECT count(*)
FROM events
WHERE flags & 2 <> 0 AND counted AND at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)
  AND {filters}
