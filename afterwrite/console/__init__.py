"""The web console: server-rendered pages that htmx keeps up to date, in one Flask blueprint."""

from afterwrite.console.answers import refused
from afterwrite.console.blueprint import console
from afterwrite.console.products import PRODUCT_ROUTES, has_pages

__all__ = ["PRODUCT_ROUTES", "console", "has_pages", "refused"]
