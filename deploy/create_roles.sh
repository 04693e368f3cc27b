#!/bin/sh
# Runs once, when the database volume is made: the administrator's role makes those that work here, and their
# databases. Neither of them is a superuser; itb_reader, for dashboards, only reads, and logs in only if it is
# given a password. `itb db sql` prints the same for a server that is there already.
set -eu
: "${ITB_DB_PASSWORD:?set ITB_DB_PASSWORD}"
: "${ITB_DAGSTER_DB_PASSWORD:?set ITB_DAGSTER_DB_PASSWORD}"
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set itb_password="$ITB_DB_PASSWORD" \
    --set dagster_password="$ITB_DAGSTER_DB_PASSWORD" \
    --set reader_password="${ITB_READER_PASSWORD:-}" <<'SQL'
CREATE ROLE itb LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'itb_password';
CREATE ROLE dagster LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'dagster_password';
CREATE ROLE itb_reader NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE itb_reader SET default_transaction_read_only = on;
SELECT format('ALTER ROLE itb_reader LOGIN PASSWORD %L', :'reader_password')
WHERE :'reader_password' <> '' \gexec
CREATE DATABASE itb OWNER itb TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE dagster OWNER dagster TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE itb FROM PUBLIC;
REVOKE ALL ON DATABASE dagster FROM PUBLIC;
GRANT CONNECT ON DATABASE itb TO itb_reader;
\connect itb
SELECT 'CREATE EXTENSION IF NOT EXISTS timescaledb'
WHERE EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') \gexec
SQL
