"""Who may do what: the application owns its database and no more, dashboards read it.

Which tables there are belongs to `migrations`, whose the embedded server's databases are to `embedded`.
"""

from __future__ import annotations

import sqlalchemy as sa

READER = "itb_reader"
"""A role for dashboards: reads every table and view, present and future, and nothing else."""

# Only what the connected role owns: of somebody else's it may grant nothing.
GRANTS = f"""DO $grants$
DECLARE
    owned regclass;
BEGIN
    GRANT USAGE ON SCHEMA public TO {READER};
    FOR owned IN
        SELECT oid FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            AND pg_get_userbyid(relowner) = current_user
    LOOP
        EXECUTE 'GRANT SELECT ON ' || owned::text || ' TO {READER}';
    END LOOP;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READER};
END
$grants$"""  # noqa: S608 - a fixed name
_LACKING = f"""
SELECT count(*) FROM pg_roles AS reader
WHERE rolname = '{READER}' AND EXISTS (
    SELECT FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        AND pg_get_userbyid(relowner) = current_user
) AND (
    NOT has_schema_privilege(reader.oid, 'public', 'USAGE')
    OR EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            AND pg_get_userbyid(relowner) = current_user
            AND NOT has_table_privilege(reader.oid, pg_class.oid, 'SELECT')
    )
    OR NOT EXISTS (
        SELECT FROM pg_default_acl, aclexplode(defaclacl) AS granted
        WHERE pg_get_userbyid(defaclrole) = current_user AND defaclobjtype = 'r'
            AND defaclnamespace = 'public'::regnamespace AND granted.grantee = reader.oid
    )
)
"""  # noqa: S608 - a fixed name


def lacks_grants(connection: sa.Connection) -> bool:
    """Return whether there is a reader to whom something of the connected role's is closed."""
    return bool(connection.execute(sa.text(_LACKING)).scalar_one())


def apply_grants(connection: sa.Connection) -> bool:
    """Let the reader, where there is one, read what the connected role owns; return whether that was due."""
    due = lacks_grants(connection)
    if due:
        connection.exec_driver_sql(GRANTS)
    return due
