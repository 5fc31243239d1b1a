"""The web console: server-rendered pages that htmx keeps up to date, in one Flask blueprint."""

from afterwrite.console.answers import refused
from afterwrite.console.blueprint import OwnPage, answer_error, console, longer_forms
from afterwrite.console.record_pages import page_roles

__all__ = ["OwnPage", "answer_error", "console", "longer_forms", "page_roles", "refused"]
