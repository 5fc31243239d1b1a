"""Application: what a team's ``app.py`` declares, served by Granian or gunicorn with one process that owns the data."""

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flask import Blueprint, Flask
from graphql import GraphQLSchema

from afterwrite.access.control import AccessControl
from afterwrite.access.opening import warning_of
from afterwrite.access.start import check_access
from afterwrite.application.routes import create_app
from afterwrite.base.logs import check_log_file, set_up_logs
from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.graphql.schema import build_schema
from afterwrite.server import serving
from afterwrite.server.lifetime import add_served
from afterwrite.service.process import prepare
from afterwrite.service.service import Service

_log = logging.getLogger("afterwrite.app")


class Application:
    """The GraphQL fields and routes of an application, and the server that answers them.

    ``query``, ``mutation`` and ``subscription`` are Graphene classes with the application's own fields; those of tasks
    are added to them. ``blueprints`` are own Flask blueprints. ``roles`` names the role of own fields and routes,
    such as ``{"Mutation.closeShop": "admin"}``: without it those that read need ``read``, the others ``write``.
    A module that is served has an ``Application`` and its ``wsgi``::

        application = Application(query=Query, mutation=Mutation)
        wsgi = application.wsgi
    """

    def __init__(
        self,
        *,
        query: Any = object,
        mutation: Any = object,
        subscription: Any = object,
        blueprints: Sequence[Blueprint] = (),
        roles: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._parts = (query, mutation, subscription)
        self._blueprints, self._roles = blueprints, roles

    @cached_property
    def schema(self) -> GraphQLSchema:
        """The whole GraphQL schema. Raises TypeError or AssertionError where its parts do not fit together."""
        return build_schema(*self._parts)

    def wsgi(self, *, compiled: bool = True) -> Flask:
        """Start the service of this process and return its WSGI application, for an HTTP server to load.

        ``compiled=False`` leaves the execution of GraphQL to graphql-core, to measure what compiling gains.
        Raises SettingsError or StoreError with one line that says what to do.
        """
        settings = from_environment()
        set_up_logs(settings)
        access = AccessControl(settings)
        if warning := warning_of(settings):
            _log.warning(warning)
        service = Service(settings)
        service.share_ended_sessions(access.ended)
        service.start()
        add_served(service)
        _log.info("serving on http://%s:%d, data in %s", settings.host, settings.port, settings.data_place)
        return create_app(service, access, self.schema, self._blueprints, self._roles, compiled=compiled)

    def run(self, module: str | None = None) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code.

        ``module`` is the module whose ``wsgi`` the server loads, from its own folder; without it the running script.
        """
        script = Path(getattr(importlib.import_module(module or "__main__"), "__file__", "") or "app.py")
        try:
            settings = from_environment()
            check_access(settings)  # first: a server that must not start leaves no data behind
            prepare(settings)
            check_log_file(settings)
            serving.check_address(settings)
        except (SettingsError, StoreError, serving.CannotListen) as error:
            sys.stderr.write(f"afterwrite: {error}\n")
            return 1
        if warning := warning_of(settings):
            sys.stderr.write(f"afterwrite: warning: {warning}\n")
        serving.serve(settings, script.resolve())
        return 0
