"""The smallest Flask app: what the same web server gives when the application does nothing."""

from flask import Flask


def create_app() -> Flask:
    """Return an app that answers `hello` to GET /, the ceiling for every other figure."""
    app = Flask(__name__)

    @app.get("/")
    def hello() -> str:
        return "hello"

    return app
