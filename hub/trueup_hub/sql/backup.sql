-- Backup and restore.

-- other_hubs: hubs, and commands of hubs, that use this database at the moment
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'trueup%' AND pid <> pg_backend_pid();

-- drop_tables: everything that a backup brings, and what later releases made
DROP TABLE IF EXISTS {tables} CASCADE;

-- refuse_newer: ends the transaction when the backup is of a later release
DO $$ BEGIN
  IF (SELECT max(number) FROM public.migrations) > {highest} THEN
    RAISE EXCEPTION 'the backup has schema %, this trueup knows {highest}: upgrade trueup on this machine',
      (SELECT max(number) FROM public.migrations);
  END IF;
END $$;
