"""The smallest Flask app, as the upper bound for the same web server."""

from flask import Flask


def create_app() -> Flask:
    """Return an app that answers `hello` to GET /."""
    app = Flask(__name__)

    @app.get("/")
    def hello() -> str:
        return "hello"

    return app
