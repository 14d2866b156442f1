-- Repair, generations, scrubbing, identity, directives (design sections 5 to 7).

-- A generation that is open: full batches move full_seq towards full_target. `generation` is the last one committed.
ALTER TABLE ledgers
  ADD COLUMN open_generation int4 NOT NULL DEFAULT 0,  -- 0 = none
  ADD COLUMN full_target int8 NOT NULL DEFAULT 0,
  ADD COLUMN opened_batch_no int4 NOT NULL DEFAULT 0,  -- batch_no when it was opened
  ADD COLUMN full_removed int8 NOT NULL DEFAULT 0,     -- rows that its commit has removed so far
  ADD COLUMN committed bytea,                          -- answer to the last commit, as sent: a repeat gets the same
  ADD COLUMN scrubbed_at timestamptz,                  -- every row was recomputed from its columns by then
  ADD COLUMN scrub_after uuid,                         -- the session that the scrub under way has come to
  ADD COLUMN corrected int8 NOT NULL DEFAULT 0,        -- rows that a scrub found altered or lost, ever
  ADD COLUMN corrected_at timestamptz,                 -- the last of them
  ADD COLUMN replaces uuid[] NOT NULL DEFAULT '{}',    -- ids of ledgers that it took the place of, as its agent says
  ADD COLUMN replaced_by int4,                         -- ledger_no
  ADD COLUMN superseded_at timestamptz,                -- frozen: what its successor has too is dropped from it
  ADD COLUMN decided_by jsonb NOT NULL DEFAULT '{}';   -- harness -> data version that its contested copies were ranked by

ALTER TABLE hosts ADD COLUMN forgotten_at timestamptz;  -- its rows are being removed

ALTER TABLE host_status ADD COLUMN withheld text[] NOT NULL DEFAULT '{}';

ALTER TABLE batches ADD COLUMN kind text NOT NULL DEFAULT 'ordinary';  -- ordinary | full | repair

-- Counters that came as 0 from a parser that did not say how well it knows them: unknown in the columns (bit set over
-- metrics.COUNTERS), 0 in the wire form.
ALTER TABLE events ADD COLUMN unstated int2;

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

-- Facts about this database. `stopped` false at a start: the hub or the database did not end in order.
CREATE TABLE hub_state (
  one bool PRIMARY KEY DEFAULT true CHECK (one),
  stopped bool NOT NULL
);
INSERT INTO hub_state (stopped) VALUES (true);
