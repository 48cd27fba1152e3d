"""Artifacts on disk; knows nothing of faces."""
