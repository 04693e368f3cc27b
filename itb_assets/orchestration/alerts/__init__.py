"""Alerts where they meet Dagster: what its records say, the process that tells, its pages and figures.

What an incident is belongs to `domain.alerts`, keeping and sending to `observability.alerts`.
"""
