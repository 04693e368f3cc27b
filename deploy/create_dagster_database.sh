#!/bin/sh
# Runs once, when the database volume is made: Dagster keeps its runs in a database and under a role of its own.
set -eu
: "${ITB_DAGSTER_DB_PASSWORD:?set ITB_DAGSTER_DB_PASSWORD}"
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set password="$ITB_DAGSTER_DB_PASSWORD" <<'SQL'
CREATE ROLE dagster LOGIN PASSWORD :'password';
CREATE DATABASE dagster OWNER dagster;
REVOKE CONNECT ON DATABASE dagster FROM PUBLIC;
SQL
