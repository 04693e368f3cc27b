"""Backups of a database: made, described, checked and put back."""
