-- counters_by_host: who reports what, and how well; day sums of zone 0, UTC, which is always in use
SELECT h.host_id, nullif(t.term, '') AS harness, sums.*
FROM (SELECT host_no, harness AS harness_no, {sums}
      FROM usage_days WHERE zone_no = 0 GROUP BY host_no, harness) sums
JOIN hosts h USING (host_no)
JOIN terms t ON t.term_no = sums.harness_no
ORDER BY h.host_no, t.term

-- state_of_reports: another text whenever hosts, their labels, what is stored of them or what it costs may be others
SELECT concat(
  (SELECT md5(string_agg(concat_ws(' ', host_no, label, labels), ',' ORDER BY host_no)) FROM hosts),
  (SELECT md5(string_agg(concat_ws(' ', ledger_no, batch_no, digest, generation, full_removed, corrected,
                                   superseded_at, dropped_at), ',' ORDER BY ledger_no)) FROM ledgers),
  (SELECT concat_ws(' ', max(repricing_no), sum(seen)) FROM repricings))

-- listed_hosts: the first $1
SELECT host_id, label FROM hosts ORDER BY host_no LIMIT $1

-- harnesses_read: those that machines have a parser at work for, and of which there is a row
SELECT DISTINCT term
FROM ledgers CROSS JOIN LATERAL jsonb_object_keys(parsers) harness
JOIN terms ON term = harness
ORDER BY term

-- listed_labels: the first $1 labels of hosts
SELECT DISTINCT key AS name, value FROM hosts CROSS JOIN LATERAL jsonb_each_text(labels) ORDER BY 1, 2 LIMIT $1
