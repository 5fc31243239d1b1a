"""The web console: pages for people, made on the server and kept fresh by htmx; one Flask blueprint."""

from console.answers import refused
from console.blueprint import console

__all__ = ["console", "refused"]
