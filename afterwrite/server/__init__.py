"""The HTTP server: Granian or gunicorn, started, watched, and guarded against slow clients."""
