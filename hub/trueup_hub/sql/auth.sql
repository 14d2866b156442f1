-- token: an access token by its hash, while it is good
SELECT token_no, role, name, last_used_at IS NULL OR last_used_at < now() - interval '1 min' AS note_use
FROM tokens
WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- token_used: noted once a minute at most
UPDATE tokens SET last_used_at = now() WHERE token_no = $1

-- add_token: only its hash is kept
INSERT INTO tokens (token_hash, role, name, created_at, expires_at)
VALUES ($1, $2, $3, now(), now() + $4::interval)
RETURNING token_no

-- all_tokens: newest last
SELECT token_no, role, name, created_at, expires_at, last_used_at, revoked_at
FROM tokens
ORDER BY token_no

-- revoke_token: by its number; ends the sessions that it opened, because they ask for it
UPDATE tokens SET revoked_at = now() WHERE token_no = $1 AND revoked_at IS NULL RETURNING name

-- revoke_tokens_named: those of an earlier start of `up`
UPDATE tokens SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL

-- session: a browser's session by its hash, while it and the token that opened it are good
SELECT s.role, coalesce(t.name, 'login link') AS name
FROM web_sessions s
LEFT JOIN tokens t USING (token_no)
WHERE s.session_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
  AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())

-- add_session: opened by a token ($3) or a login code (null)
INSERT INTO web_sessions (session_hash, role, token_no, created_at, expires_at)
VALUES ($1, $2, $3, now(), now() + $4::interval)

-- end_session: logout
UPDATE web_sessions SET revoked_at = now() WHERE session_hash = $1 AND revoked_at IS NULL

-- forget_old_sessions: what can no longer be used is not kept
DELETE FROM web_sessions WHERE expires_at < now() OR revoked_at < now()

-- forget_old_login_codes: likewise
DELETE FROM login_codes WHERE expires_at < now()

-- add_login_code: for one login
INSERT INTO login_codes (code_hash, role, created_at, expires_at) VALUES ($1, $2, now(), now() + $3::interval)

-- use_login_code: once; two requests at once cannot both win
UPDATE login_codes SET used_at = now()
WHERE code_hash = $1 AND used_at IS NULL AND expires_at > now()
RETURNING role

-- host_by_id: for a credential whose mac was right
SELECT host_no, label, credential_hash, revoked_at IS NOT NULL AS revoked FROM hosts WHERE host_id = $1

-- readmit: the database was lost but the hub key was kept; same id, same place in the order of hosts. Not one that this
-- database forgot: a replica does not see the revocations of another
INSERT INTO hosts (host_id, label, enrolled_at, credential_hash, secret_hash, readmitted_at)
SELECT $1::uuid, $2, $3, $4, $5, now()
WHERE NOT EXISTS (SELECT FROM audit WHERE action = 'host.forget' AND subject = $1::uuid::text)
ON CONFLICT (host_id) DO NOTHING RETURNING host_no

-- lock_secret: one enrolment at a time for one secret
SELECT pg_advisory_xact_lock($1)

-- host_by_secret: an enrolment that is repeated
SELECT host_id, label, enrolled_at, revoked_at IS NOT NULL AS revoked FROM hosts WHERE secret_hash = $1

-- enroll_code: under lock, so that a code for one machine admits one
SELECT enroll_code_no, labels, uses_left, revoked_at IS NOT NULL AS revoked,
       coalesce(expires_at <= now(), false) AS expired
FROM enroll_codes
WHERE code_hash = $1
FOR UPDATE

-- use_enroll_code: null uses_left = no limit
UPDATE enroll_codes SET uses_left = uses_left - 1 WHERE enroll_code_no = $1

-- add_enroll_code: only its hash is kept
INSERT INTO enroll_codes (code_hash, labels, uses_left, created_at, expires_at)
VALUES ($1, $2, $3, now(), now() + $4::interval)
RETURNING enroll_code_no, expires_at

-- add_host: a new machine
INSERT INTO hosts (host_id, label, labels, kind, platform, enrolled_at, credential_hash, secret_hash, enroll_code_no,
                   expected_silence_seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- note: who did what to whom
INSERT INTO audit (at, actor, action, subject, detail) VALUES (now(), $1, $2, $3, $4)
