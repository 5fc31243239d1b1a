"""The Flask blueprint of the console: its pages, the variables of their templates, and error pages."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from flask import Blueprint, Response, request, url_for
from jinja2 import BaseLoader, FileSystemLoader, PrefixLoader
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from afterwrite.access.caller import current_caller
from afterwrite.access.control import can_sign_in, may
from afterwrite.access.headers import allow_more
from afterwrite.access.session import csrf_token
from afterwrite.base.own_command import own_command
from afterwrite.base.refusals import Refused
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.console import template_filters
from afterwrite.console.answers import in_dialog, refused
from afterwrite.console.entries import add_entry_pages
from afterwrite.console.jobs import add_process_pages
from afterwrite.console.overview import add_overview
from afterwrite.console.record_files import FileSlots, add_record_files
from afterwrite.console.record_forms import add_record_forms
from afterwrite.console.record_list import add_record_list
from afterwrite.console.record_pages import RecordPages
from afterwrite.console.sign_in import add_sign_in
from afterwrite.console.tasks import add_task_pages
from afterwrite.console.writes import add_write_pages
from afterwrite.graphql_http import HttpRefusal, RequestError
from afterwrite.graphql_http.body import read_on
from afterwrite.resources.compiled import CompiledResource
from afterwrite.service.context import Context
from afterwrite.service.service import Service

_log = logging.getLogger("afterwrite.console")
_STATIC = Path(__file__).parent / "static"


class OwnPage(NamedTuple):
    """A page of the application in the navigation: its label, its endpoint, and its name in the table of roles."""

    label: str
    endpoint: str
    route: str


class _Console(Blueprint):
    """Its templates are ``console/…``, so that those of an application may have any other name."""

    @cached_property
    def jinja_loader(self) -> BaseLoader:
        return PrefixLoader({"console": FileSystemLoader(Path(__file__).parent / "templates")})


def console(service: Service, context: Callable[[], Context], own_pages: Sequence[OwnPage] = ()) -> Blueprint:
    """The blueprint of all pages; ``context`` makes the context of the current request."""
    blueprint = _Console("console", __name__, static_folder="static", static_url_path="/console")
    add_overview(blueprint, service)
    all_pages = [RecordPages(resource) for resource in service.resources.values()]
    slots = FileSlots(service.settings.threads)
    for pages in all_pages:
        shown_list = add_record_list(blueprint, service, context, pages)
        add_record_forms(blueprint, service, context, pages)
        add_record_files(blueprint, service, context, shown_list, slots)
    add_write_pages(blueprint, service, context)
    add_task_pages(blueprint, service, context)
    add_entry_pages(blueprint, service, context)
    add_process_pages(blueprint, service, context)
    add_sign_in(blueprint)
    blueprint.app_context_processor(lambda: _known_to_templates(service, all_pages, own_pages))
    for show in template_filters.FILTERS:
        blueprint.add_app_template_filter(show)
    blueprint.register_error_handler(Exception, answer_error)
    # A record's picture may be on any host.
    blueprint.before_request(lambda: allow_more("img-src", "http: https:"))
    return blueprint


def longer_forms(settings: Settings, resources: Iterable[CompiledResource]) -> dict[str | None, int]:
    """The max bytes of the forms that may be longer than others, by endpoint."""
    limits = {"submit_process": settings.max_body_bytes}
    for pages in map(RecordPages, resources):
        limits |= {pages.endpoint(name): settings.max_body_bytes for name in ("create", "update")}
        limits |= {pages.endpoint("upload"): settings.upload_max_bytes + (64 << 10)}  # plus the other fields
        for operation in pages.resource.operations.values():
            limits |= {pages.endpoint(f"operation-{operation.name}"): settings.max_body_bytes}
    return {f"console.{name}": limit for name, limit in limits.items()}


def _known_to_templates(
    service: Service, all_pages: Sequence[RecordPages], own_pages: Sequence[OwnPage]
) -> dict[str, Any]:
    return {
        "asset": lambda name: url_for("console.static", filename=name, v=_version(name)),
        "caller": current_caller(),
        "can_sign_in": can_sign_in(),
        "csrf_token": csrf_token,
        "in_dialog": in_dialog(),
        "may": may,
        "own_pages": own_pages,
        "own_command": own_command,
        "poll_seconds": service.settings.console_poll_seconds,
        "graphiql": service.settings.introspection == "on",
        "pairs": template_filters.pairs,
        "record_pages": all_pages,
        "retry_key": lambda write_id: f"retry-{write_id}-{service.queue.last_write_id}",
        "wrong": None,
    }


@cache
def _version(name: str) -> str:
    """A hash for the URL of a static file, so that browsers can cache it until it changes."""
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def answer_error(error: Exception) -> Response:
    """The answer of a page that failed: a page with the reason, or a toast."""
    match error:
        case HttpRefusal():
            answer = refused(error.message, error.status)
            answer.headers.extend(error.headers)
            return answer
        case RequestError():
            return refused(error.message, 400)
        case Refused():
            return refused(error.message, 422)
        case StoreError():
            return refused(str(error) if may("Query.queue") else log_and_redact(error), 503)
        case RequestEntityTooLarge():
            limit = request.max_content_length or 0
            read_on(request.environ, 2 * limit)
            return refused(f"The request body is too long: {limit:,} bytes are the limit", 413)
        case HTTPException(code=int(status)) if status < 500:
            return refused(error.description or error.name, status)
    _log.error("a console page failed", exc_info=error)
    return refused("Something went wrong on the server: its log has the reason", 500)
