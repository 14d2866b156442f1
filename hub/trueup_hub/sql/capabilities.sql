-- counters_by_host: who reports what, and how well; day sums of zone 0, UTC, which is always in use
SELECT h.host_id, h.label, nullif(t.term, '') AS harness, sums.*
FROM (SELECT host_no, harness AS harness_no, {sums}
      FROM usage_days WHERE zone_no = 0 GROUP BY host_no, harness) sums
JOIN hosts h USING (host_no)
JOIN terms t ON t.term_no = sums.harness_no
ORDER BY h.host_no, t.term
