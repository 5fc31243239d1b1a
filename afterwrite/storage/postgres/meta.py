"""Shared SQL: the current time, and the key-value table ``meta``."""

NOW_US = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"  # microseconds since 1970

KEPT = "SELECT value FROM afterwrite.meta WHERE name = %s"
KEEP = """
INSERT INTO afterwrite.meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
