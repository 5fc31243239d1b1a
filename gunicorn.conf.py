"""Settings of ``gunicorn app:wsgi()``, which gunicorn reads from the folder where it starts."""

from afterwrite.server.gunicorn_settings import *  # noqa: F403
