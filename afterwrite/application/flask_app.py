"""Flask as this application needs it: strict forms, and no work at each request that none of ours asks for."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, Request
from werkzeug.exceptions import BadRequest
from werkzeug.formparser import FormDataParser
from werkzeug.routing import MapAdapter

_HOST_NAMES = ("wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")
_HOSTS_KEPT = 256


class _FormParser(FormDataParser):
    """Parses forms and reports malformed ones, which werkzeug by itself treats as empty."""

    def parse(self, *given: Any, **named: Any) -> Any:
        """The form as werkzeug parses it. Raises BadRequest."""
        self.silent = False
        try:
            return super().parse(*given, **named)
        except UnicodeDecodeError as error:
            message = "The form has a field or a file name that is not UTF-8: send it as UTF-8, or rename the file"
            raise BadRequest(message) from error
        except ValueError as error:
            raise BadRequest(f"The form cannot be read: {error}") from error


class _Request(Request):
    form_data_parser_class = _FormParser


class FlaskApp(Flask):
    """Flask for functions that are no coroutines, and with what it finds out about a host kept for the next request."""

    request_class = _Request

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._of_host = lru_cache(maxsize=_HOSTS_KEPT)(self._adapter_of_host)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: looking for a coroutine function at every request costs time."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Flask's adapter, from the one that is kept for the same host."""
        if request is None:
            return None
        environ = request.environ
        path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        if "HTTP_UPGRADE" in environ or not (path.isascii() and query.isascii()):
            return super().create_url_adapter(request)
        request.host, kept = self._of_host(*map(environ.get, _HOST_NAMES))
        names = (kept.server_name, kept.script_name, kept.subdomain, kept.url_scheme)
        return MapAdapter(self.url_map, *names, path, environ["REQUEST_METHOD"], query)

    def _adapter_of_host(self, *found: str | None) -> tuple[str, MapAdapter]:
        """The host of such requests and the adapter. Raises BadHost."""
        given = {name: value for name, value in zip(_HOST_NAMES, found, strict=True) if value is not None}
        asked = Request({"PATH_INFO": "/", "REQUEST_METHOD": "GET", **given})
        adapter = super().create_url_adapter(asked)
        assert adapter is not None
        return asked.host, adapter
