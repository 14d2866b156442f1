-- Logs as heartbeats told of them last.

-- list_sources: of ledgers $1, harnesses $2 and state $3 (null = all), those after ($4, $5, $6), $7 of them
SELECT h.host_id, h.label, l.ledger_id, t.term AS harness, s.host_no, s.ledger_no, s.source_key, s.state, s.bytes_read,
       s.lines, s.skipped_lines, s.unknown_records, s.path
FROM (
  SELECT * FROM sources
  WHERE ledger_no = ANY ($1::int4[]) AND ($2::int4[] IS NULL OR harness = ANY ($2)) AND ($3::text IS NULL OR state = $3)
    AND ($4::int4 IS NULL OR (host_no, ledger_no, source_key) > ($4, $5::int4, $6::uuid))
  ORDER BY host_no, ledger_no, source_key
  LIMIT $7
) s
JOIN hosts h USING (host_no)
JOIN ledgers l USING (host_no, ledger_no)
JOIN terms t ON t.term_no = s.harness
ORDER BY s.host_no, s.ledger_no, s.source_key

-- count_sources: the same on all pages
SELECT count(*) FROM sources
WHERE ledger_no = ANY ($1::int4[]) AND ($2::int4[] IS NULL OR harness = ANY ($2)) AND ($3::text IS NULL OR state = $3)

-- sources_of_host: what its harnesses write, those that lost something first; at most $2, and how many there are
SELECT l.ledger_id, s.source_key, t.term AS harness, s.state, s.bytes_read, s.lines, s.skipped_lines,
       s.unknown_records, s.path, count(*) OVER () AS of
FROM sources s
JOIN ledgers l USING (host_no, ledger_no)
JOIN terms t ON t.term_no = s.harness
WHERE s.host_no = $1
ORDER BY s.skipped_lines + s.unknown_records > 0 DESC, t.term, s.source_key
LIMIT $2
