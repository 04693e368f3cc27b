"""Frames as files: their types, formats and manifests, written whole or not at all."""
