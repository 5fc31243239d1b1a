"""The Application class: an ``app.py`` names its resources, GraphQL fields and routes with it and serves them."""

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from afterwrite.base.missing_packages import end_in_one_line, require
from afterwrite.resources.registry import Resources, WrongDeclaration
from afterwrite.resources.resource import Resource

if TYPE_CHECKING:
    from flask import Blueprint, Flask
    from graphql import GraphQLSchema

    from afterwrite.service.process import OwnWorker

_log = logging.getLogger("afterwrite.app")


class Application:
    """The resources, workers, GraphQL fields and routes of an application, and the server for them.

    ``resources`` are classes derived from Resource. ``workers`` are classes derived from BaseWorker that take no
    arguments, or functions that make one of the Settings. ``query``, ``mutation`` and ``subscription`` are Graphene
    classes with further fields; the fields of tasks are added. ``blueprints`` are the application's Flask blueprints,
    ``pages`` those of their pages that the console's navigation shows: ``{"Reports": "reports.index"}``, by endpoint.
    ``roles`` gives the roles of a resource, a field or a route, such as ``{"Stock": {"read": "read", "reserve":
    "admin"}}`` or ``{"Mutation.closeShop": "admin"}``; by default reads require ``read`` and others ``write``. A module
    to be served has an ``Application`` and its ``wsgi``::

        application = Application(resources=[Product])
        wsgi = application.wsgi

    A wrong declaration ends the program with a line for each mistake. What serves is imported when it is used, so that
    programs which only need the resources start in a moment.
    """

    def __init__(
        self,
        resources: Sequence[type[Resource]] = (),
        *,
        workers: "Sequence[OwnWorker]" = (),
        query: Any = object,
        mutation: Any = object,
        subscription: Any = object,
        blueprints: "Sequence[Blueprint]" = (),
        pages: Mapping[str, str] = MappingProxyType({}),
        roles: Mapping[str, str | Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        try:
            self.resources = Resources(resources)
        except WrongDeclaration as wrong:
            raise SystemExit("\n".join(f"afterwrite: {problem}" for problem in wrong.problems)) from None
        self.workers = tuple(workers)
        self._parts = (query, mutation, subscription)
        self.blueprints, self.pages, self.roles = blueprints, pages, roles

    @cached_property
    def schema(self) -> "GraphQLSchema":
        """The whole GraphQL schema. Raises TypeError or AssertionError if its parts conflict."""
        from afterwrite.graphql.schema import build_schema

        return build_schema(self.resources, *self._parts)

    def wsgi(self, *, compiled: bool = True) -> "Flask":
        """Start the service of this process and return its WSGI application, for an HTTP server to load.

        ``compiled=False`` executes GraphQL with graphql-core, to measure the gain of compiling. Raises SettingsError or
        StoreError with one line that says what to do.
        """
        from afterwrite.access.control import AccessControl
        from afterwrite.access.opening import warning_of
        from afterwrite.application.own_parts import check_parts
        from afterwrite.application.routes import create_app
        from afterwrite.base.logs import check_log_file, set_up_logs
        from afterwrite.base.settings import from_environment
        from afterwrite.server import serving
        from afterwrite.server.lifetime import add_served
        from afterwrite.service.service import Service

        settings = from_environment()
        set_up_logs(settings)
        access = AccessControl(settings)
        check_parts(self)
        service = Service(settings, self.resources, self.workers)
        check_log_file(settings)  # now that there is a data folder
        if warning := warning_of(settings):
            _log.warning(warning)
        # Before the service runs, so that what is refused stops the start in one line.
        app = create_app(service, access, self.schema, self.blueprints, self.pages, self.roles, compiled=compiled)
        service.share_ended_sessions(access.ended)
        service.start()
        add_served(service.announce_stop, service.stop)
        serving.wake_worker_on_signals()
        _log.info("serving on http://%s:%d, data in %s", settings.host, settings.port, settings.data_place)
        return app

    def run(self, module: str | None = None) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code.

        ``module`` is the module whose ``wsgi`` the server loads, from its own folder; default: the running script.

        This process only watches the serving one, which alone imports what serves: two copies would double memory.
        """
        end_in_one_line()
        require("granian")  # the first of the packages, before anything is said of an address or a folder
        from afterwrite.access.opening import warning_of
        from afterwrite.access.start import check_access
        from afterwrite.base.settings import SettingsError, from_environment
        from afterwrite.base.utf8 import use_utf8
        from afterwrite.server import serving

        use_utf8()
        script = Path(getattr(importlib.import_module(module or "__main__"), "__file__", "") or "app.py")
        try:
            settings = from_environment()
            # First, so that a refused start leaves no data behind.
            check_access(settings)
            serving.check_address(settings)
        except (SettingsError, serving.CannotListen) as error:
            sys.stderr.write(f"afterwrite: {error}\n")
            return 1
        if warning := warning_of(settings):
            sys.stderr.write(f"afterwrite: warning: {warning}\n")
        serving.serve(settings, script.resolve())
        return 0
