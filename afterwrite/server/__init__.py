"""The HTTP server, Granian or gunicorn, with protection against slow clients."""
