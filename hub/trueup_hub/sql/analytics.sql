-- Aggregates over the rollups. What stands in braces is filled in by analytics/sources.py: {sums} is the sum of every column
-- of a usage rollup, {total_reported} how many parts of a total were reported, {session_usage} what sessions used inside the
-- range and the filters, {usage_of_copies} what copies of sessions used, whenever.
-- $1 and $2 are a range of slots, $3 … $7 filters by host, harness, project, model and provider: null = all.
-- {filters} stands for all five.
-- Sums end at 2^63-1: what one host claims must not make an answer fail for everybody.

-- extent: first and last slot in which anything happened
SELECT min(first), max(last)
FROM (SELECT min(slot) AS first, max(slot) AS last FROM usage_slots
      WHERE slot >= $1 AND slot < $2
        AND {filters}
      UNION ALL
      SELECT min(slot), max(slot) FROM activity_slots
      WHERE slot >= $1 AND slot < $2
        AND ($3::int4[] IS NULL OR host_no = ANY ($3))
        AND ($4::int4[] IS NULL OR harness = ANY ($4))
        AND ($5::int4[] IS NULL OR project = ANY ($5))
        AND ($6::int4[] IS NULL OR model = ANY ($6))
        AND ($7::int4[] IS NULL OR 0 = ANY ($7))) extents

-- extent_set_aside: the same of copies that do not count, for a host that has nothing else
SELECT floor(extract(epoch FROM min(at)) / 900)::int4, floor(extract(epoch FROM max(at)) / 900)::int4
FROM events
WHERE NOT counted AND NOT stale AND at >= to_timestamp($1::int8 * 900) AND at < to_timestamp($2::int8 * 900)
  AND {filters}

-- usage_by_bucket: usage of each bucket ($8) and group of a division ({key} of columns {groups}, $9), out of slots or of days
SELECT {bucket} AS bucket, {key} AS key, {sums}
FROM {rollup}
GROUP BY 1, {groups}

-- usage_set_aside: the same of copies that do not count
SELECT width_bucket(slot, $8::int4[]) - 1 AS bucket, {key} AS key, {sums}
FROM ({set_aside}) set_aside
GROUP BY 1, {groups}

-- counts_by_bucket: messages, tool calls and session starts of each bucket; they have no provider, starts no model
SELECT {bucket} AS bucket, {key} AS key,
       sum(messages)::int8 AS messages, sum(user_messages)::int8 AS user_messages,
       sum(tool_calls)::int8 AS tool_calls, sum(sessions)::int8 AS sessions
FROM {rollup}
GROUP BY 1, {groups}

-- counts_set_aside: the same of copies of sessions that are not the chosen ones
SELECT width_bucket(slot, $8::int4[]) - 1 AS bucket, {key} AS key,
       sum(messages)::int8 AS messages, sum(user_messages)::int8 AS user_messages,
       sum(tool_calls)::int8 AS tool_calls, sum(sessions)::int8 AS sessions
FROM (
  SELECT floor(extract(epoch FROM m.at) / 900)::int4 AS slot, m.host_no, m.harness, m.project, m.model, 1 AS messages,
         (m.role = (SELECT term_no FROM terms WHERE term = 'user')
          AND m.kind = (SELECT term_no FROM terms WHERE term = 'prompt'))::int AS user_messages,
         coalesce(cardinality(m.tool_names), 0) AS tool_calls, 0 AS sessions
  FROM sessions s JOIN messages m USING (host_no, ledger_no, session_key)
  WHERE NOT s.chosen AND NOT m.stale
    AND m.at >= to_timestamp($1::int8 * 900) AND m.at < to_timestamp($2::int8 * 900)
  UNION ALL
  SELECT floor(extract(epoch FROM started_at) / 900)::int4, host_no, harness, project, 0, 0, 0, 0, 1
  FROM sessions
  WHERE NOT chosen AND NOT stale
    AND started_at >= to_timestamp($1::int8 * 900) AND started_at < to_timestamp($2::int8 * 900)
) copies
WHERE ($3::int4[] IS NULL OR host_no = ANY ($3))
  AND ($4::int4[] IS NULL OR harness = ANY ($4))
  AND ($5::int4[] IS NULL OR project = ANY ($5))
  AND ($6::int4[] IS NULL OR model = ANY ($6))
  AND ($7::int4[] IS NULL OR 0 = ANY ($7))
GROUP BY 1, {groups}

-- active_sessions: how many sessions used anything in each bucket; not additive
SELECT width_bucket(slot, $8::int4[]) - 1 AS bucket, count(DISTINCT session_key) AS active_sessions
FROM {session_usage}
GROUP BY 1

-- active_whole_sessions: the same, where no filter divides what a session used by model: only sessions that lie across
-- bounds are looked for in their slots
WITH spans AS (
  SELECT session_key, host_no, harness, project, width_bucket(first_slot, $8::int4[]) - 1 AS first,
         width_bucket(last_slot, $8::int4[]) - 1 AS last
  FROM session_totals
  WHERE last_slot >= $1 AND first_slot < $2 AND {perhaps}
), split AS (
  SELECT session_key FROM spans WHERE first <> last OR {split_by_filter}
)
SELECT bucket, sum(sessions)::int8 AS active_sessions
FROM (
  SELECT first AS bucket, count(*) AS sessions FROM spans WHERE first = last AND NOT ({split_by_filter}) GROUP BY 1
  UNION ALL
  SELECT width_bucket(slot, $8::int4[]) - 1, count(DISTINCT split.session_key) FROM {split_cells} GROUP BY 1
) counts
GROUP BY 1

-- sessions_figures: averages and medians over the sessions that used anything, of what they used inside the range. A
-- median is between the two in the middle, which percentile_disc finds faster than percentile_cont finds it
SELECT active_sessions, token_reporting_sessions, avg_output_tokens, avg_total_tokens, avg_cost,
       (output_tokens[1]::float8 + output_tokens[2]) / 2 AS median_output_tokens,
       (total_tokens[1]::float8 + total_tokens[2]) / 2 AS median_total_tokens,
       (cost[1]::float8 + cost[2]) / 2 AS median_cost
FROM (
  SELECT count(*) AS active_sessions, count(output_tokens) AS token_reporting_sessions,
         avg(output_tokens)::float8 AS avg_output_tokens, avg(total_tokens)::float8 AS avg_total_tokens,
         avg(cost)::float8 AS avg_cost,
         percentile_disc(ARRAY[0.5, 0.500000001]) WITHIN GROUP (ORDER BY output_tokens) AS output_tokens,
         percentile_disc(ARRAY[0.5, 0.500000001]) WITHIN GROUP (ORDER BY total_tokens) AS total_tokens,
         percentile_disc(ARRAY[0.5, 0.500000001]) WITHIN GROUP (ORDER BY cost) AS cost
  FROM (
    SELECT CASE WHEN r_output_tokens > 0 THEN s_output_tokens END AS output_tokens,
           CASE WHEN {total_reported} > 0 THEN s_total_tokens END AS total_tokens,
           CASE WHEN r_cost > 0 THEN s_cost END AS cost
    FROM {used_sessions}
  ) used
) figures

-- messages_figures: messages of the sessions that started between $1 and $2, over their whole life. Numbers of messages
-- are few, so that sessions are counted by them instead of sorted
WITH counts AS (
  SELECT messages, count(*) AS sessions
  FROM sessions
  WHERE chosen AND NOT stale
    AND started_at >= to_timestamp($1::int8 * 900) AND started_at < to_timestamp($2::int8 * 900)
    AND ($3::int4[] IS NULL OR host_no = ANY ($3))
    AND ($4::int4[] IS NULL OR harness = ANY ($4))
    AND ($5::int4[] IS NULL OR project = ANY ($5))
    AND ($6::int4[] IS NULL OR 0 = ANY ($6))
    AND ($7::int4[] IS NULL OR 0 = ANY ($7))
  GROUP BY messages
), ranked AS (
  SELECT messages, sessions, sum(sessions) OVER (ORDER BY messages) AS upto, sum(sessions) OVER () - 1 AS last
  FROM counts
)
SELECT (SELECT sum(messages * sessions)::float8 / sum(sessions)::float8 FROM counts) AS avg_messages,
       median.between AS median_messages, p90.between AS p90_messages
FROM (
  SELECT low + (high - low) * part AS between FROM (
    SELECT min(messages) FILTER (WHERE upto > floor(last * 0.5)) AS low,
           min(messages) FILTER (WHERE upto > ceil(last * 0.5)) AS high, mod(max(last) * 0.5, 1)::float8 AS part
    FROM ranked) around
) median, (
  SELECT low + (high - low) * part AS between FROM (
    SELECT min(messages) FILTER (WHERE upto > floor(last * 0.9)) AS low,
           min(messages) FILTER (WHERE upto > ceil(last * 0.9)) AS high, mod(max(last) * 0.9, 1)::float8 AS part
    FROM ranked) around
) p90

-- top_sessions: the $9 sessions that used most of metric $8 inside the range, and how many did not report it
WITH used AS (
  SELECT session_key, {metric_sum} AS added, coalesce({metric_reported}, r_context_tokens) AS reported,
         max_context_tokens AS peak
  FROM {used_sessions}
)
SELECT counted.not_reported, top.session_key, top.value
FROM (SELECT count(*) FILTER (WHERE reported = 0) AS not_reported FROM used) counted
LEFT JOIN (SELECT session_key, coalesce(added, peak) AS value
           FROM used WHERE reported > 0
           ORDER BY value DESC, session_key LIMIT $9) top ON true
ORDER BY top.value DESC, top.session_key

-- usage_of_sessions: what sessions $8 used inside the range
WITH copies AS (SELECT DISTINCT host_no, session_key FROM sessions WHERE session_key = ANY ($8::uuid[]))
SELECT used.session_key, {sums}
FROM {usage_of_copies}
WHERE slot >= $1 AND slot < $2
  AND ($3::int4[] IS NULL OR used.host_no = ANY ($3))
  AND ($4::int4[] IS NULL OR harness = ANY ($4))
  AND ($5::int4[] IS NULL OR project = ANY ($5))
  AND ($6::int4[] IS NULL OR model = ANY ($6))
  AND ($7::int4[] IS NULL OR provider = ANY ($7))
GROUP BY used.session_key
