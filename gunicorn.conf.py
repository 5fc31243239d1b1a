"""Settings of ``gunicorn app:wsgi()``, which gunicorn reads from the current folder."""

from afterwrite.server.gunicorn_settings import *  # noqa: F403
