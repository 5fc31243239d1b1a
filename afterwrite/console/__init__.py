"""The web console: pages for people, made on the server and kept fresh by htmx; one Flask blueprint."""

from afterwrite.console.answers import refused
from afterwrite.console.blueprint import console

__all__ = ["console", "refused"]
