"""The web console: server-rendered pages that htmx keeps up to date, in one Flask blueprint."""

from afterwrite.console.answers import refused
from afterwrite.console.blueprint import console

__all__ = ["console", "refused"]
