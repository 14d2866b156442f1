-- A database as ledgers of a year would have made it, but in SQL (many_events.py fills in what stands in braces). Sessions
-- have 40 requests on average; one in twenty is at a second host too, where nothing of it counts. Row digests are all 1, so
-- that a sum of digests is a number of rows. Random numbers are hashes: the same rows each time.

-- dimensions: terms, price table, hosts and ledgers
INSERT INTO terms (term_no, term)
SELECT row_number() OVER (), term FROM unnest('{{user,prompt,assistant,message,primary,usd,credits,claude,codex,gemini,anthropic,openai,
  google,claude-opus-4-5-20251101,claude-sonnet-4-5-20250929,claude-haiku-4-5-20251001,gpt-5.1-codex,gpt-5.1-codex-mini,
  gemini-3-pro-preview,Bash,Read,Edit}}'::text[]) term;
INSERT INTO terms (term_no, term) SELECT 100 + p, 'project-' || p FROM generate_series(1, 60) p;
SELECT setval(pg_get_serial_sequence('terms', 'term_no'), 1000);
INSERT INTO prices (digest, dated, first_used_at) VALUES ('bench', '2026-11-20', now());
INSERT INTO hosts (host_id, label, labels, enrolled_at, credential_hash)
SELECT md5('host' || h)::uuid, 'host-' || h, jsonb_build_object('team', 'team-' || h % 5),
  timestamptz '{first}' + h * interval '1 minute', ''
FROM generate_series(1, {hosts}) h;
INSERT INTO ledgers (host_no, ledger_id, first_contact_at, batch_no, verdict, last_batch_at, converged_at)
SELECT host_no, md5('ledger' || host_no)::uuid, enrolled_at, 1, 'converged', now(), now() FROM hosts ORDER BY 1;

-- plan: what each session is; u_ are numbers between 0 and 1
CREATE UNLOGGED TABLE bench_plan AS
SELECT h AS host_no, md5(seed)::uuid AS session_key,
  timestamptz '{first}' + d * interval '1 day' + (7 + 13 * (u_hour + u_minute) / 2) * interval '1 hour' AS started_at,
  (1 - 39 * ln(1 - u_size * 0.9999))::int AS requests, (20 + 60 * u_gap) * interval '1 second' AS gap,
  u_copied < 0.05 AND h < {hosts} AS copied,
  CASE WHEN u_harness < 0.7 THEN 8 WHEN u_harness < 0.9 THEN 9 ELSE 10 END AS harness,
  CASE WHEN u_harness < 0.7 THEN 11 WHEN u_harness < 0.9 THEN 12 ELSE 13 END AS provider,
  CASE WHEN u_harness < 0.7 THEN 14 + (u_model < 0.6)::int WHEN u_harness < 0.9 THEN 17 ELSE 19 END AS model,
  CASE WHEN u_harness < 0.7 THEN 16 WHEN u_harness < 0.9 THEN 18 ELSE 19 END AS small_model,
  101 + (h * 7 + (u_project * (5 + h % 4))::int) % 60 AS project
FROM generate_series(1, {hosts}) h, generate_series(0, {days} - 1) d, generate_series(1, ceil({rate})::int) k,
LATERAL (SELECT h || '/' || d || '/' || k AS seed) s,
LATERAL (SELECT {u_hour} AS u_hour, {u_minute} AS u_minute, {u_size} AS u_size, {u_gap} AS u_gap,
  {u_copied} AS u_copied, {u_harness} AS u_harness, {u_model} AS u_model, {u_project} AS u_project, {u_there} AS u_there) u
WHERE u_there < {rate} / ceil({rate}::float8);

-- events: those that count. A fiftieth has no output tokens, a twentieth a lower bound of them, a model has no price
INSERT INTO events (at, seq, cost_nanousd, cache_savings_nanousd, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
  output_tokens, reasoning_tokens, context_tokens, web_searches, host_no, ledger_no, batch_no, data_version, price_no, harness,
  provider, model, project, service_tier, speed, reported_cost_unit, reported_cost_status, flags, time_quality, lower_bounds,
  derived, counted, stale, event_key, session_key, row_digest)
SELECT started_at + gap * (i + u_gap), i, CASE WHEN m <> 18 THEN (input * 3 + cached / 3 + written * 4 + coalesce(output, 0) * 15) * 1000 END,
  CASE WHEN m <> 18 THEN (cached * 2 - written) * 1000 END,
  input, cached, CASE WHEN harness = 8 THEN written END, CASE WHEN harness = 8 THEN 0 END, output,
  CASE WHEN harness <> 8 THEN (output * u_gap)::int8 END, input + cached + written,
  CASE WHEN u_size < 0.01 THEN 1 END, host_no, host_no, 1, 1, 1, harness, provider, m, project, 0, 0, 0, 0,
  CASE WHEN u_odd > 0.999 THEN 2 END, 1, CASE WHEN output IS NOT NULL AND u_odd > 0.95 THEN 16 END, NULL, true, false,
  md5('event' || seed)::uuid, session_key, '00000000-0000-0000-0000-000000000001'::uuid
FROM bench_plan p, generate_series(1, requests) i,
LATERAL (SELECT p.session_key::text || i AS seed) s,
LATERAL (SELECT {u_size} AS u_size, {u_gap} AS u_gap, {u_odd} AS u_odd, {u_model} AS u_model) u,
LATERAL (SELECT CASE WHEN u_model < 0.1 THEN small_model ELSE model END AS m, 3 + (40 * u_size)::int8 AS input,
  12000 + i * 2000::int8 AS cached, 200 + (3800 * u_gap)::int8 AS written,
  CASE WHEN u_odd >= 0.02 THEN 1 + (3000 * u_size)::int8 END AS output) v;

-- messages: an answer for each request, a prompt for every eighth
INSERT INTO messages (at, seq, size_chars, host_no, ledger_no, batch_no, data_version, harness, project, model, role, kind,
  stale, message_key, session_key, row_digest, tool_names)
SELECT started_at + gap * i, i, 500, host_no, host_no, 1, 1, harness, project, model, 3, 4, false, md5('answer' || session_key || i)::uuid,
  session_key, '00000000-0000-0000-0000-000000000001'::uuid, CASE WHEN i % 4 > 0 THEN ARRAY[20 + i % 3] END
FROM bench_plan, generate_series(1, requests) i
UNION ALL
SELECT started_at + gap * i, i, 80, host_no, host_no, 1, 1, harness, project, 0, 1, 2, false, md5('prompt' || session_key || i)::uuid,
  session_key, '00000000-0000-0000-0000-000000000001'::uuid, NULL
FROM bench_plan, generate_series(1, requests, 8) i;

-- copies: the same sessions at the next host, which enrolled later
INSERT INTO events SELECT (jsonb_populate_record(e, jsonb_build_object(
  'host_no', e.host_no + 1, 'ledger_no', e.ledger_no + 1, 'counted', false))).*
FROM bench_plan p JOIN events e USING (host_no, session_key) WHERE p.copied;
INSERT INTO messages SELECT (jsonb_populate_record(m, jsonb_build_object(
  'host_no', m.host_no + 1, 'ledger_no', m.ledger_no + 1))).*
FROM bench_plan p JOIN messages m USING (host_no, session_key) WHERE p.copied;

-- sessions: with the sums of their rows
WITH rows AS (
  SELECT host_no, session_key, count(*) FILTER (WHERE message) AS messages, count(*) + 1 AS rows
  FROM (SELECT host_no, session_key, false AS message FROM events
        UNION ALL SELECT host_no, session_key, true FROM messages) r GROUP BY 1, 2
)
INSERT INTO sessions (host_no, ledger_no, session_key, chosen, messages, rows, digest, row_digest, seq, batch_no, data_version,
  harness, project, relationship, started_at, session_id)
SELECT r.host_no, r.host_no, session_key, r.host_no = p.host_no, r.messages, r.rows, r.rows,
  '00000000-0000-0000-0000-000000000001'::uuid, 0, 1, 1, harness, project, 5, started_at, session_key::text
FROM rows r JOIN bench_plan p USING (session_key);

-- owners: who decides what counts, and the ledgers' sums
INSERT INTO session_owners SELECT session_key, host_no, ledger_no FROM sessions WHERE chosen;
INSERT INTO event_claims SELECT event_key, host_no, ledger_no, get_byte(uuid_send(event_key), 0) + get_byte(uuid_send(event_key), 1) < 3 FROM events WHERE NOT counted;
INSERT INTO event_owners SELECT event_key, host_no, ledger_no, p.copied FROM events e JOIN bench_plan p USING (host_no, session_key)
WHERE counted;
UPDATE ledgers l SET digest = s.rows, sessions = s.sessions, messages = s.messages, events = s.rows - s.messages - s.sessions,
  acked_seq = 1000, scrubbed_at = now()
FROM (SELECT host_no, count(*) AS sessions, sum(messages) AS messages, sum(rows) AS rows FROM sessions GROUP BY 1) s
WHERE s.host_no = l.host_no;
UPDATE hub_state SET scrubbed_at = now();
DROP TABLE bench_plan;
