-- Role trueup_reader: what a viewer may see, for the hub's own reads and for an operator's Grafana or psql.
-- Roles belong to a cluster, so several hubs on one share it; what it may read is granted in each database.

-- become_reader: a connection that reads becomes that role where it may and the role can read here
SELECT set_config('role', rolname, false) FROM pg_roles
WHERE rolname = 'trueup_reader' AND pg_has_role(oid, '{right}')
  AND has_table_privilege(oid, to_regclass('events'), 'SELECT')

-- there_is_a_role: made by this hub, by another on the same cluster, or by an administrator
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'trueup_reader')

-- make_role: nobody logs in as it; others are given it
CREATE ROLE trueup_reader NOLOGIN

-- may_become: by right, not by being a superuser: then nothing needs to be granted
SELECT pg_has_role('trueup_reader', '{right}')

-- take_role: so that our connections may become it
GRANT trueup_reader TO CURRENT_USER

-- grants: what it lacks. Everything but the tables of secrets; of a table with a hash of a secret, the other columns.
-- A table is granted whole where that can be, so that columns which a later release adds are readable at once
WITH lacking AS (
  SELECT c.oid, c.relname, a.attname, a.attnum, bool_or(a.attname LIKE '%\_hash') OVER (PARTITION BY c.oid) AS guarded
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace AND c.relname <> ALL ($1::text[])
)
SELECT CASE
  WHEN guarded THEN format('GRANT SELECT (%s) ON %I TO trueup_reader', string_agg(quote_ident(attname), ', '), relname)
  ELSE format('GRANT SELECT ON %I TO trueup_reader', relname) END
FROM lacking
WHERE attname NOT LIKE '%\_hash' AND NOT has_column_privilege('trueup_reader', oid, attnum, 'SELECT')
GROUP BY oid, relname, guarded
ORDER BY relname

-- user_name: as it is written in statements
SELECT quote_ident(current_user)
