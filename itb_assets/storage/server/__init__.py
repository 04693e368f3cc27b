"""The embedded PostgreSQL: made, started, stopped, and whose its databases are."""
