-- Repair, generations, scrubbing, identity, directives (design sections 5 to 7).

-- A generation that is open: full batches move full_seq towards full_target. `generation` is the last one committed.
ALTER TABLE ledgers
  ADD COLUMN open_generation int4 NOT NULL DEFAULT 0,  -- 0 = none
  ADD COLUMN full_target int8 NOT NULL DEFAULT 0,
  ADD COLUMN opened_batch_no int4 NOT NULL DEFAULT 0,  -- batch_no when it was opened
  ADD COLUMN full_removed int8 NOT NULL DEFAULT 0,     -- rows that its commit has removed so far
  ADD COLUMN committed bytea,                          -- answer to the last commit, as sent: a repeat gets the same
  ADD COLUMN scrubbed_at timestamptz,                  -- rows, ownership and rollups were held against columns by then
  ADD COLUMN corrected int8 NOT NULL DEFAULT 0,        -- rows that a scrub found altered or lost, ever
  ADD COLUMN corrected_at timestamptz,                 -- the last of them
  ADD COLUMN head_digest uuid,                         -- its own at acked_seq, as its agent said; null = it has more rows
  ADD COLUMN replaces uuid[] NOT NULL DEFAULT '{}',    -- ids of ledgers that it took the place of, as its agent says
  ADD COLUMN heard_at timestamptz,                     -- heartbeat or question for its position; written every 30 s
  ADD COLUMN replaced_by int4,                         -- ledger_no of its successor
  ADD COLUMN replaced_at timestamptz,                  -- when the successor said so; heard of since: two machines
  ADD COLUMN superseded_at timestamptz,                -- frozen: what its successor has too is dropped from it
  ADD COLUMN dropped_at timestamptz,                   -- … and that is done
  ADD COLUMN decided_by jsonb NOT NULL DEFAULT '{}';   -- harness -> [floor, cap] by which its contested copies were ranked

ALTER TABLE hosts ADD COLUMN forgotten_at timestamptz;  -- its rows are being removed

ALTER TABLE host_status ADD COLUMN withheld text[] NOT NULL DEFAULT '{}';

ALTER TABLE batches ADD COLUMN kind text NOT NULL DEFAULT 'ordinary';  -- ordinary | full | repair

-- Counters that came as 0 in a batch that named no parser version: unknown in the columns (bit set over
-- metrics.COUNTERS), 0 in the wire form. So too where they came before there was this column.
ALTER TABLE events ADD COLUMN unstated int2;
UPDATE events SET
  unstated = (input_tokens IS NOT DISTINCT FROM 0)::int + (cache_read_tokens IS NOT DISTINCT FROM 0)::int * 2
    + (cache_write_tokens IS NOT DISTINCT FROM 0)::int * 4 + (cache_write_1h_tokens IS NOT DISTINCT FROM 0)::int * 8
    + (output_tokens IS NOT DISTINCT FROM 0)::int * 16 + (reasoning_tokens IS NOT DISTINCT FROM 0)::int * 32
    + (input_undivided_tokens IS NOT DISTINCT FROM 0)::int * 64 + (undivided_tokens IS NOT DISTINCT FROM 0)::int * 128
    + (context_tokens IS NOT DISTINCT FROM 0)::int * 256,
  input_tokens = nullif(input_tokens, 0), cache_read_tokens = nullif(cache_read_tokens, 0),
  cache_write_tokens = nullif(cache_write_tokens, 0), cache_write_1h_tokens = nullif(cache_write_1h_tokens, 0),
  output_tokens = nullif(output_tokens, 0), reasoning_tokens = nullif(reasoning_tokens, 0),
  input_undivided_tokens = nullif(input_undivided_tokens, 0), undivided_tokens = nullif(undivided_tokens, 0),
  context_tokens = nullif(context_tokens, 0)
WHERE data_version = 0 AND 0 IN (input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
  output_tokens, reasoning_tokens, input_undivided_tokens, undivided_tokens, context_tokens);
CREATE INDEX events_unstated ON events (host_no, ledger_no) WHERE unstated IS NOT NULL;

-- Flag OLD_DATA: counted for the trust block of every answer.
CREATE INDEX events_old_data ON events (host_no, at) WHERE flags & 2 <> 0;

-- What the full batches of the open generation held: keys (16 bytes each, in a row) of each table by range of seq.
CREATE TABLE confirmations (
  host_no int4 NOT NULL,
  ledger_no int4 NOT NULL,
  from_seq int8 NOT NULL,
  to_seq int8 NOT NULL,
  sessions bytea NOT NULL,
  messages bytea NOT NULL,
  events bytea NOT NULL,
  PRIMARY KEY (host_no, ledger_no, to_seq)
);

-- What agents are asked to do, once.
CREATE TABLE directives (
  host_no int4 NOT NULL,
  ledger_no int4 NOT NULL,
  directive_id uuid NOT NULL,
  kind text NOT NULL,                              -- full_push | push | repair | rescan
  state text NOT NULL DEFAULT 'open',              -- open | running | done | failed | given_up
  asked_by text NOT NULL,
  reason text NOT NULL,
  asked_at timestamptz NOT NULL,
  heard_at timestamptz,                            -- when its agent last said how far it is
  done int8 NOT NULL DEFAULT 0,
  of int8 NOT NULL DEFAULT 0,
  note text NOT NULL DEFAULT '',
  PRIMARY KEY (host_no, ledger_no, directive_id)
);
CREATE INDEX directives_open ON directives (host_no, ledger_no) WHERE state IN ('open', 'running');

-- Facts about this database. `stopped` false at a start: the hub or the database did not end in order, so that rollups
-- are built anew; so they must be after the above.
CREATE TABLE hub_state (
  one bool PRIMARY KEY DEFAULT true CHECK (one),
  stopped bool NOT NULL,
  scrubbed_at timestamptz                          -- owners and claims were held against the events by then
);
INSERT INTO hub_state (stopped) SELECT NOT EXISTS (SELECT FROM events WHERE unstated IS NOT NULL);
