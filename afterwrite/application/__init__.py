"""The Application class that an ``app.py`` declares, and the Flask application built from it."""
