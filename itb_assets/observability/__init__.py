"""What people see: logs and plots.

Nothing here computes what it shows, or knows Dagster.
"""
