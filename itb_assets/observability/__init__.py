"""What people see: logs, plots and the performance report.

Nothing here computes what it shows, or knows Dagster.
"""
