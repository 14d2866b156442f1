-- Analytics: labels, prices, rollups for many events (design section 8).

-- Cost: what caching saved, beside the price that it was saved from. Null in rows that were priced before it was kept.
ALTER TABLE events ADD COLUMN cache_savings_nanousd int8;
ALTER TABLE usage_slots
  ADD COLUMN s_cache_savings int8 NOT NULL DEFAULT 0, ADD COLUMN r_cache_savings int4 NOT NULL DEFAULT 0,
  ADD COLUMN l_cache_savings int4 NOT NULL DEFAULT 0;
ALTER TABLE session_slots
  ADD COLUMN s_cache_savings int8 NOT NULL DEFAULT 0, ADD COLUMN r_cache_savings int4 NOT NULL DEFAULT 0,
  ADD COLUMN l_cache_savings int4 NOT NULL DEFAULT 0;
ALTER TABLE usage_days
  ADD COLUMN s_cache_savings int8 NOT NULL DEFAULT 0, ADD COLUMN r_cache_savings int4 NOT NULL DEFAULT 0,
  ADD COLUMN l_cache_savings int4 NOT NULL DEFAULT 0;

-- counted=all: copies of sessions that are not shown count too.
CREATE INDEX sessions_set_aside ON sessions (host_no, session_key) WHERE NOT chosen;
