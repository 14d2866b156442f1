-- Rows that could not be accepted, of ledgers $1.

-- list_rejections: the latest first, those after ($2, $3, $4, $5), $6 of them; with what is told of one as it came
SELECT h.host_id, h.label, l.ledger_id, r.*, b.agent_version, CASE r.table_no
    WHEN 1 THEN EXISTS (SELECT FROM sessions s WHERE s.host_no = r.host_no AND s.ledger_no = r.ledger_no
                        AND s.session_key = r.row_key AND s.row_digest IS NOT NULL AND s.stale)
    WHEN 2 THEN EXISTS (SELECT FROM messages m WHERE m.host_no = r.host_no AND m.ledger_no = r.ledger_no
                        AND m.message_key = r.row_key AND m.stale)
    WHEN 3 THEN EXISTS (SELECT FROM events e WHERE e.host_no = r.host_no AND e.ledger_no = r.ledger_no
                        AND e.event_key = r.row_key AND e.stale)
    ELSE false END AS older_version
FROM (
  SELECT * FROM rejections
  WHERE ledger_no = ANY ($1::int4[])
    AND ($2::timestamptz IS NULL OR (rejected_at, ledger_no, row_key, table_no) < ($2, $3::int4, $4::uuid, $5::int4))
  ORDER BY rejected_at DESC, ledger_no DESC, row_key DESC, table_no DESC
  LIMIT $6
) r
JOIN hosts h USING (host_no)
JOIN ledgers l USING (host_no, ledger_no)
LEFT JOIN batches b ON b.host_no = r.host_no AND b.ledger_no = r.ledger_no AND b.batch_no = r.batch_no
ORDER BY r.rejected_at DESC, r.ledger_no DESC, r.row_key DESC, r.table_no DESC

-- count_rejections: on all pages
SELECT count(*) FROM rejections WHERE ledger_no = ANY ($1::int4[])
