"""The web console: server-rendered pages that htmx keeps up to date, in one Flask blueprint."""

from afterwrite.console.answers import refused
from afterwrite.console.blueprint import OwnPage, answer_error, console
from afterwrite.console.products import PRODUCT_ROUTES, has_pages

__all__ = ["PRODUCT_ROUTES", "OwnPage", "answer_error", "console", "has_pages", "refused"]
