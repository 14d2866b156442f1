-- Price tables, and rows priced again.

-- number_in_force: the table that new rows are priced with; null before a hub of this release has started
SELECT price_no FROM hub_state;

-- lock_in_force: who may set another
SELECT price_no FROM hub_state FOR UPDATE;

-- table_in_force: which is in force; nulls before a hub of this release has started
SELECT s.price_no, digest, dated, content, applied FROM hub_state s LEFT JOIN prices p USING (price_no);

-- set_in_force: from the next batch on
UPDATE hub_state SET price_no = $1;

-- read_table: one table
SELECT price_no, digest, content, overrides FROM prices WHERE price_no = $1;

-- keep_table: remembers a table; its number
INSERT INTO prices (digest, dated, first_used_at, source, content, overrides, applied)
VALUES ($1, $2, now(), $3, $4, $5, $6)
ON CONFLICT (digest) DO UPDATE SET source = excluded.source, content = excluded.content,
  overrides = excluded.overrides, applied = prices.applied OR excluded.applied
RETURNING price_no;

-- facts: the table in force and how many rows others priced; none before a hub of this release has started
SELECT p.digest, p.dated, p.source, p.overrides, p.counted_at,
  (SELECT coalesce(sum(events), 0) FROM prices o WHERE o.price_no <> p.price_no)::int8 AS priced_otherwise
FROM hub_state s JOIN prices p USING (price_no);

-- several_tables: whether rows may be of another table than the one in force
SELECT count(*) > 1 FROM prices;

-- count_uses: how many stored rows each table priced
UPDATE prices p SET events = coalesce(found.events, 0), counted_at = now()
FROM prices every LEFT JOIN (SELECT price_no, count(*) AS events FROM events GROUP BY 1) found USING (price_no)
WHERE p.price_no = every.price_no;

-- note: a line of the audit table
INSERT INTO audit (at, actor, action, subject, detail) VALUES (now(), $1, $2, $3, $4);

-- replace_repricings: another table was asked for; those that are given up
UPDATE repricings SET ended_at = now(), outcome = 'replaced'
WHERE kind = 'reprice' AND ended_at IS NULL AND price_no <> $1 RETURNING *;

-- open_repricing: the one that is at work with this table
SELECT repricing_no FROM repricings WHERE kind = 'reprice' AND ended_at IS NULL AND price_no = $1;

-- begin_repricing: its number
INSERT INTO repricings (kind, price_no, asked_by) VALUES ('reprice', $1, $2) RETURNING repricing_no;

-- unfinished: what is to be gone on with
SELECT repricing_no FROM repricings WHERE ended_at IS NULL ORDER BY 1;

-- repricing: how far one is
SELECT * FROM repricings WHERE repricing_no = $1;

-- lock_repricing: one worker at a time; none when it has ended
SELECT * FROM repricings WHERE repricing_no = $1 AND ended_at IS NULL FOR UPDATE;

-- ledger_from: the next ledger
SELECT host_no, ledger_no FROM ledgers WHERE ledger_no >= $1 ORDER BY ledger_no LIMIT 1;

-- rows_of_hub: how many there are, as the ledgers' sums say
SELECT coalesce(sum(events), 0)::int8 FROM ledgers;

-- part_of_ledger: the next rows of a ledger, owner keys among them, and which of them are to be priced
SELECT event_key, coalesce(owner_key, event_key) AS owner_key,
  CASE WHEN $4 THEN cost_nanousd IS NOT NULL AND cache_savings_nanousd IS NULL ELSE price_no <> $5 END AS wanted
FROM events WHERE host_no = $1 AND ledger_no = $2 AND event_key > $3
ORDER BY event_key LIMIT $6;

-- rows_to_price: with the names that decide the price
SELECT {columns}, nullif(provider.term, '') AS provider_name, nullif(model.term, '') AS model_name,
  nullif(tier.term, '') AS tier_name, nullif(speed_.term, '') AS speed_name
FROM unnest($3::uuid[]) k
CROSS JOIN LATERAL (SELECT * FROM events WHERE host_no = $1 AND ledger_no = $2 AND event_key = k OFFSET 0) e
LEFT JOIN terms provider ON provider.term_no = e.provider LEFT JOIN terms model ON model.term_no = e.model
LEFT JOIN terms tier ON tier.term_no = e.service_tier LEFT JOIN terms speed_ ON speed_.term_no = e.speed
ORDER BY e.event_key;

-- models_used: provider and model of all rows that count
SELECT nullif(provider.term, ''), nullif(model.term, '')
FROM (SELECT DISTINCT provider, model FROM usage_days) u
LEFT JOIN terms provider ON provider.term_no = u.provider LEFT JOIN terms model ON model.term_no = u.model;

-- set_price: what a row costs, and by which table
UPDATE events SET cost_nanousd = $4, cache_savings_nanousd = $5, price_no = $6
WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3;

-- move_repricing: it came so far
UPDATE repricings SET ledger_no = $2, event_key = $3, seen = seen + $4, events = events + $5, counted = counted + $6,
  cost_before = cost_before + $7, cost_after = cost_after + $8,
  savings_before = savings_before + $9, savings_after = savings_after + $10,
  unpriced_before = unpriced_before + $11, unpriced_after = unpriced_after + $12,
  tables = ARRAY (SELECT DISTINCT unnest(tables || $13::int4[]) ORDER BY 1)
WHERE repricing_no = $1;

-- end_repricing: all ledgers were gone through
UPDATE repricings SET ended_at = now(), outcome = 'done' WHERE repricing_no = $1 RETURNING *;

-- digests: what tables are called outside
SELECT price_no, digest FROM prices WHERE price_no = ANY($1::int4[]) ORDER BY price_no;
