"""Frames as rows of tables: written in one transaction with their record, read back as they were."""
