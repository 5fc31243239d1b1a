"""Reads and replaces what the database keeps under a name."""

KEPT = "SELECT value FROM afterwrite.meta WHERE name = %s"
KEEP = """
INSERT INTO afterwrite.meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
