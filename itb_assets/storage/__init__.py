"""Disk and database: where things lie, how they are written whole, how they are read back.

Nothing here talks to an exchange, knows Dagster, or reads the environment.
"""
