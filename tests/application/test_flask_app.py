"""What is kept for a host answers as Flask answers."""

from typing import Any

import pytest
from flask import Flask, request

from afterwrite.application.flask_app import FlaskApp

HOSTS = (
    "localhost",
    "localhost:80",
    "LOCALHOST:8000",
    "example.com:443",
    "[::1]:8000",
    "bücher.example".encode().decode("latin-1"),
    "a b",
    "a/b",
    "localhost:99999",
    "",
)
PATHS = ("/echo", "/echo/", "//echo", "/caf\xc3\xa9", "/none")
SCHEMES = ("http", "https")


def site(kind: type[Flask]) -> Flask:
    app = kind("site")
    app.url_map.merge_slashes = False

    @app.route("/echo", methods=["GET", "POST"])
    @app.route("/café")
    def echo() -> dict[str, Any]:
        from flask import url_for

        return {"host": request.host, "url": request.url, "there": url_for("echo", _external=True), "q": request.args}

    return app


def answer_of(app: Flask, environ: dict[str, Any]) -> tuple[int, bytes]:
    response = app.test_client().open(environ_overrides=environ, path="/echo")
    return response.status_code, response.data


@pytest.mark.parametrize("scheme", SCHEMES)
def test_hosts_and_paths_are_answered_as_by_flask(scheme: str) -> None:
    ours, theirs = site(FlaskApp), site(Flask)
    for _ in range(2):  # the second time from what was kept
        for host in HOSTS:
            for path in PATHS:
                environ = {
                    "HTTP_HOST": host,
                    "PATH_INFO": path,
                    "wsgi.url_scheme": scheme,
                    "QUERY_STRING": "a=1&b=%C3%A9",
                    "SCRIPT_NAME": "/under" if host.startswith("L") else "",
                }
                assert answer_of(ours, environ) == answer_of(theirs, environ), environ


def test_the_hosts_that_are_kept_are_bounded() -> None:
    app = site(FlaskApp)
    for number in range(1_000):
        answer_of(app, {"HTTP_HOST": f"host{number}.example"})
    assert app._of_host.cache_info().currsize == 256  # type: ignore[attr-defined]
