"""Accepts writes, drains the journal, settles and waits."""
