"""Tells other programs what came of a task: signs the event, posts it to public addresses only, receives it."""
