-- Drops whatever tests made in a database and leaves the extension and its own objects.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('DROP MATERIALIZED VIEW IF EXISTS %I.%I CASCADE', view_schema, view_name)
        FROM timescaledb_information.continuous_aggregates
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('SELECT delete_job(%s)', job_id)
        FROM timescaledb_information.jobs
        WHERE hypertable_name IS NULL AND proc_schema NOT LIKE '\_timescaledb%'
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', nspname)
        FROM pg_namespace AS n
        WHERE nspname <> 'public' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
          AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = n.oid
                          AND deptype = 'e')
          AND NOT EXISTS (SELECT 1 FROM pg_extension WHERE extnamespace = n.oid)
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name)
        FROM (
            SELECT 1 AS turn, 'pg_class'::regclass AS catalogue, c.oid, c.oid::regclass::text AS name,
                CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                    WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind
            FROM pg_class AS c
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
            UNION ALL
            SELECT 2, 'pg_proc'::regclass, oid, oid::regprocedure::text,
                CASE prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END
            FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
            UNION ALL
            SELECT 3, 'pg_type'::regclass, oid, oid::regtype::text, 'TYPE'
            FROM pg_type
            WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r')
        ) AS found
        WHERE NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = catalogue AND objid = oid AND deptype = 'e')
        ORDER BY turn, kind DESC
    LOOP EXECUTE statement; END LOOP;
END
$$
