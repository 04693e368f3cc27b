"""Queries of analysts: found, given their values, run."""
