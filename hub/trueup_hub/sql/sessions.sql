-- Sessions. The chosen copy supplies project, times and messages; usage is the sum of counted events, whoever has them.
-- $1 and $2 are a range of slots, $3 … $7 filters by host, harness, project, model and provider: null = all.
-- What stands in braces is filled in by analytics/sources.py: {filters} for all five, {chosen} for whether a copy counts,
-- {started} for what is taken of sessions that started in the range, {of_quality} and {having_quality} for what is asked of
-- their requests (quality.sql).

-- list_sessions: what started or used anything in the range, by sort key $8 (times $9, 1 or -1), after ($10, $11)
WITH started AS (
  SELECT {started} FROM sessions
  WHERE {chosen} AND ((started_at >= to_timestamp($1::int8 * 900) AND started_at < to_timestamp($2::int8 * 900)
                       AND NOT stale)
                    OR ((started_at IS NULL OR stale) AND $13::bool))
    AND ($3::int4[] IS NULL OR host_no = ANY ($3))
    AND ($4::int4[] IS NULL OR harness = ANY ($4))
    AND ($5::int4[] IS NULL OR project = ANY ($5))
    AND ($6::int4[] IS NULL OR 0 = ANY ($6))
    AND ($7::int4[] IS NULL OR 0 = ANY ($7))
), ranked AS (
  SELECT u.session_key, of_quality, coalesce($9::int8 * CASE $8::text
           WHEN 'started_at' THEN (extract(epoch FROM coalesce(u.started_at, chosen.started_at)) * 1000000)::int8
           WHEN 'messages' THEN coalesce(u.messages, chosen.messages) WHEN 'last_active_at' THEN u.last_slot
           WHEN 'peak_context_tokens' THEN u.peak_context_tokens ELSE u.value END, '-9223372036854775808'::int8) AS sort
  FROM (SELECT session_key, started_at, messages, last_slot, peak_context_tokens, value, {of_quality} AS of_quality
        FROM (SELECT session_key, last_slot, max_context_tokens AS peak_context_tokens,
                     CASE WHEN {metric_reported} > 0 THEN {metric_sum} END AS value
              FROM {used_sessions}) used
        FULL JOIN started USING (session_key) {having_quality}) u
  LEFT JOIN LATERAL (
    SELECT started_at, messages FROM sessions s
    WHERE u.messages IS NULL AND $8::text IN ('started_at', 'messages')
      AND s.session_key = u.session_key AND s.chosen OFFSET 0
  ) chosen ON true
)
SELECT session_key, sort, of_quality FROM ranked
WHERE $11::uuid IS NULL OR sort < $10::int8 OR (sort = $10 AND session_key > $11)
ORDER BY sort DESC, session_key LIMIT $12

-- heads: who and when sessions $1 are
SELECT s.session_key, s.session_id, nullif(harness.term, '') AS harness, nullif(project.term, '') AS project,
       nullif(relationship.term, '') AS relationship, nullif(os_user.term, '') AS os_user, s.parent_key,
       h.host_id, h.label AS host_label, s.started_at, s.git_branch, s.harness_version, s.messages
FROM sessions s
JOIN hosts h USING (host_no)
JOIN terms harness ON harness.term_no = s.harness
JOIN terms project ON project.term_no = s.project
JOIN terms relationship ON relationship.term_no = s.relationship
JOIN terms os_user ON os_user.term_no = s.os_user
WHERE s.chosen AND s.session_key = ANY ($1::uuid[])

-- models_of_sessions: what sessions $1 used, and when last, over their whole life
WITH copies AS (SELECT DISTINCT host_no, session_key FROM sessions WHERE session_key = ANY ($1::uuid[]))
SELECT used.session_key, max(slot) AS last_slot,
       array_agg(DISTINCT term ORDER BY term) FILTER (WHERE term <> '') AS models
FROM {usage_of_copies}
JOIN terms ON term_no = model
GROUP BY used.session_key

-- counts_of_sessions: messages, tool calls and starts of sessions $8 inside the range
WITH copies AS (
  SELECT host_no, ledger_no, session_key, CASE WHEN NOT stale THEN started_at END AS started_at, harness, project
  FROM sessions WHERE {chosen} AND session_key = ANY ($8::uuid[])
), entries AS (
  SELECT c.session_key, 1 AS messages, coalesce(cardinality(m.tool_names), 0) AS tool_calls, 0 AS sessions,
         (m.role = (SELECT term_no FROM terms WHERE term = 'user')
          AND m.kind = (SELECT term_no FROM terms WHERE term = 'prompt'))::int AS user_messages
  FROM copies c JOIN messages m USING (host_no, ledger_no, session_key)
  WHERE NOT m.stale AND m.at >= to_timestamp($1::int8 * 900) AND m.at < to_timestamp($2::int8 * 900)
    AND ($3::int4[] IS NULL OR m.host_no = ANY ($3))
    AND ($4::int4[] IS NULL OR m.harness = ANY ($4))
    AND ($5::int4[] IS NULL OR m.project = ANY ($5))
    AND ($6::int4[] IS NULL OR m.model = ANY ($6))
    AND ($7::int4[] IS NULL OR 0 = ANY ($7))
  UNION ALL
  SELECT session_key, 0, 0, 1, 0 FROM copies
  WHERE started_at >= to_timestamp($1::int8 * 900) AND started_at < to_timestamp($2::int8 * 900)
    AND ($3::int4[] IS NULL OR host_no = ANY ($3))
    AND ($4::int4[] IS NULL OR harness = ANY ($4))
    AND ($5::int4[] IS NULL OR project = ANY ($5))
    AND ($6::int4[] IS NULL OR 0 = ANY ($6))
    AND ($7::int4[] IS NULL OR 0 = ANY ($7))
)
SELECT session_key, sum(messages)::int8 AS messages, sum(user_messages)::int8 AS user_messages,
       sum(tool_calls)::int8 AS tool_calls, sum(sessions)::int8 AS sessions
FROM entries GROUP BY session_key
