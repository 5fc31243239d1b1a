"""The program: checks what could be wrong, lets an HTTP server run the application, and owns its start and stop.

The server's main process only looks after the one that serves, so what is imported here is light; what serves is
imported where it begins to.
"""

from devkit.missing_packages import end_in_one_line

if __name__ == "__main__":
    end_in_one_line()  # before the imports that need packages

import logging
import sys
from functools import partial
from typing import TYPE_CHECKING

import serving
from access.opening import warning_of
from access.session_secret import session_secret
from access.start import check_access
from database.errors import StoreError
from database.stores import prepare_stores, secret_of
from logs import check_log_file, set_up_logs
from settings import SettingsError, from_environment
from tasks.workers import build_workers
from utf8 import use_utf8
from webhooks.secret import webhook_secret

if TYPE_CHECKING:
    from flask import Flask

    from service import Service

_log = logging.getLogger("afterwrite.app")
_running: "list[Service]" = []


def wsgi() -> "Flask":
    """Start the service of this process and return its application: what an HTTP server loads."""
    from access.control import AccessControl
    from routes import create_app
    from service import Service

    settings = from_environment()
    set_up_logs(settings)
    access = AccessControl(settings)
    if warning := warning_of(settings):
        _log.warning(warning)
    service = Service(settings)
    service.share_ended_sessions(access.ended)
    service.start()
    _running.append(service)
    _log.info("serving on http://%s:%d, data in %s", settings.host, settings.port, settings.data_place)
    return create_app(service, access)


def announce_stop() -> None:
    """Let the event streams of this process end: what an HTTP server calls when it is told to stop."""
    for service in _running:
        service.announce_stop()


def stop() -> None:
    """Stop the service of this process: what an HTTP server calls after its last request."""
    while _running:
        _running.pop().stop()


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    try:
        settings = from_environment()
        check_access(settings)  # first: a server that must not start leaves no data behind
        # Opened once here, so that what is wrong is said in one line before any process is started.
        prepare_stores(settings)
        build_workers(settings, webhook_secret(settings, partial(secret_of, settings)))
        session_secret(partial(secret_of, settings))
        check_log_file(settings)
        serving.check_address(settings)
    except (SettingsError, StoreError, serving.CannotListen) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    if warning := warning_of(settings):
        sys.stderr.write(f"afterwrite: warning: {warning}\n")
    serving.serve(settings)
    return 0


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
