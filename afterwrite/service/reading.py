"""Reads of records from Python, for the code of an application."""

from collections.abc import Mapping, Sequence
from typing import Any

from afterwrite.reads import pages
from afterwrite.reads.connections import parse_id
from afterwrite.reads.filters import filters_of, order_names, order_of, record_filter
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.service.context import Context
from afterwrite.service.current import WrongProcess
from afterwrite.storage.records import Records


def get(context: Context, resource: CompiledResource, record_id: int | str) -> Record | None:
    """The record, None if it does not exist. Raises WrongProcess in a process that reads no records."""
    return _records(context, resource).get(parse_id("id", str(record_id)))


def find(
    context: Context, resource: CompiledResource, search: str, order_by: str, first: int, filters: Mapping[str, Any]
) -> Sequence[Record]:
    """The first records that match, by the rules of the resource's connection.

    Raises ValueError for an unknown order or filter, RequestError for an impossible value, and WrongProcess as ``get``.
    """
    known = filters_of(resource)
    if unknown := sorted(filters.keys() - known.keys()):
        raise ValueError(f"{resource.name} has no filter {unknown[0]!r}: its filters are {', '.join(known) or 'none'}")
    if order_by not in order_names(resource):
        raise ValueError(f"{resource.name} has no order {order_by!r}: give one of {', '.join(order_names(resource))}")
    wanted, order = record_filter(known, search, filters), order_of(resource, order_by)
    return pages.records_page(_records(context, resource), wanted, order, first, None, None, None).nodes


def _records(context: Context, resource: CompiledResource) -> Records:
    found = context.records.get(resource.name)
    if found is None:
        raise WrongProcess(
            f"This process reads no records of {resource.name}: it is not among the resources of the application that "
            "runs here. Declare it there, or read through the API of a server"
        )
    return found
