"""Bytes on disk: whole files and folders, their digests, locks and compression."""
