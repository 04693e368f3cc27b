"""Dagster: the only room that knows it.

Assets, partitions, IO managers, checks, jobs and schedules; what they compute lives in `domain`.
"""
