"""The list of a resource's records: columns, filters and orders, made from the declaration."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from flask import Blueprint, Response, request

from afterwrite.base.text import camel_case, composed, shorten
from afterwrite.console.answers import page, page_of
from afterwrite.console.controls import LINE_MAX, Control, control_of, label_of, look_of, read_value, shown
from afterwrite.console.forms import given
from afterwrite.console.lists import Filters, filters_of, refused_list
from afterwrite.console.record_pages import RecordPages
from afterwrite.graphql_http import RequestError
from afterwrite.reads import filters
from afterwrite.reads.connections import PAGE_DEFAULT, Page, check_search
from afterwrite.reads.pages import records_page
from afterwrite.resources.compiled import Record
from afterwrite.resources.field import Field
from afterwrite.resources.number_fields import Money
from afterwrite.resources.text_fields import Url
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.storage.records import RecordFilter, RecordOrder, Records, orders_of

_COLUMNS_MAX = 6
_ON_PHONES = 2
_SHORT_NAME = 60
_FILTERS_SHOWN = 4  # the others unfold
_VALUES_SHOWN = 100
_PICTURE = re.compile("image|picture|photo|thumb|avatar|logo|icon")
_BOUNDS = {"minimum": "from", "maximum": "to"}


class Column(NamedTuple):
    """A column of a list; ``is_wide`` leaves it out on phones."""

    field: Field
    label: str
    is_wide: bool

    @property
    def look(self) -> str:
        """The CSS classes of its cells."""
        return f"{'number' if look_of(self.field).is_number else ''} {'wide' if self.is_wide else ''}".strip()

    def shown(self, record: Record) -> str:
        """What it shows of a record, safe in HTML."""
        return shown(self.field, getattr(record, self.field.name))


class Selection(NamedTuple):
    """The filter and order of records in the URL."""

    wanted: RecordFilter
    order: RecordOrder


class RecordList:
    """The list of one resource."""

    def __init__(self, pages: RecordPages) -> None:
        self.pages, self.resource = pages, pages.resource
        found = filters.filters_of(self.resource)
        # One value is enough to choose where a field has another filter too; single values are first, ranges follow.
        with_others = {one.field.name for one in found.values() if not one.takes_many}
        self.filters = {
            name: one for name, one in found.items() if not (one.takes_many and one.field.name in with_others)
        }
        self.filters = dict(sorted(self.filters.items(), key=lambda named: named[1].comparison in _BOUNDS))
        in_order = [one.comparison for one in self.filters.values()]
        # Both ends of a range stay together.
        self.filters_shown = _FILTERS_SHOWN - (in_order[_FILTERS_SHOWN - 1 : _FILTERS_SHOWN] == ["minimum"])
        self.order_name = "order_by" if "order" in found else "order"

    @cached_property
    def picture(self) -> str | None:
        """The field with the URL of a picture."""
        urls = (name for name, field in self.resource.fields.items() if isinstance(field, Url))
        return next((name for name in urls if _PICTURE.search(name)), None)

    @property
    def label(self) -> str:
        """The label of the first column, which names the record."""
        field = self.resource.label_field
        return "Id" if field is None else label_of(field.name)

    @property
    def has_long_names(self) -> bool:
        """Whether the first column needs a fixed share of the width."""
        field = self.resource.label_field
        return field is not None and field.limits["max_length"] > _SHORT_NAME

    @cached_property
    def columns(self) -> list[Column]:
        """The columns after the name and the id: the first fields with short values, else long texts, cut."""
        others = [field for field in self.resource.fields.values() if field is not self.resource.label_field]
        others = [field for field in others if look_of(field).in_lists]
        short = [field for field in others if field.limits.get("max_length", 0) <= LINE_MAX]
        return [
            Column(field, _with_currency(field), number >= _ON_PHONES)
            for number, field in enumerate((short or others)[:_COLUMNS_MAX])
        ]

    @cached_property
    def searched(self) -> str:
        """What a search looks at."""
        return ", ".join(
            label_of(self.resource.of_column[column].name) for column in self.resource.searched
        ).capitalize()

    @cached_property
    def orders(self) -> list[tuple[str, str]]:
        """The orders to choose from, with their labels; the order of nothing chosen is newest first."""
        found = [("ID_ASC", "Oldest first")]
        for order in orders_of(self.resource).values():
            if order.field is not None:
                word = look_of(order.field).orders[order.descending]
                found.append((order.name, f"{label_of(order.field.name)}, {word}"))
        return found

    def filter_controls(self, records: Records, filtered: Filters) -> list[Control]:
        """The controls of the filters; a field with a facet offers its most frequent values."""
        controls = []
        for name, one in self.filters.items():
            usual = control_of(one.field)
            label = f"{usual.label} {_BOUNDS.get(one.comparison, '')}".strip()
            kind, attributes = usual.type, usual.attributes
            if one.field.facet and one.comparison not in _BOUNDS and usual.type != "select":
                chosen = composed(filtered.get(name) or "")
                kind, attributes = "select", {"options": _frequent_values(records, one.field, chosen)}
            controls.append(Control(name, label, kind, attributes=attributes))
        return controls

    def selection(self) -> Selection:
        """The selection in the URL of the current request. Raises RequestError for invalid filters."""
        values: dict[str, Any] = {}
        for name, one in self.filters.items():
            value = read_value(one.field, given(request.args, name))
            values[name] = [value] if one.takes_many and value is not None else value
        search = check_search(request.args.get("search")) if self.resource.searched else ""
        wanted = filters.record_filter(self.filters, search, values)
        name = request.args.get(self.order_name, "")
        return Selection(wanted, orders_of(self.resource)[name if name in dict(self.orders) else "ID_DESC"])


def add_record_list(
    blueprint: Blueprint, service: Service, context: Callable[[], Context], pages: RecordPages
) -> RecordList:
    """Add the list of a resource."""
    shown_list = RecordList(pages)

    def records() -> Response:
        return page_of(service.queue.settled_through, lambda: _page(context(), shown_list))

    blueprint.add_url_rule(pages.path, pages.place, records)
    return shown_list


def _page(context: Context, shown_list: RecordList) -> Response:
    pages, records = shown_list.pages, context.records[shown_list.resource.name]
    searched = ("search",) if shown_list.resource.searched else ()
    filtered = filters_of((*searched, *shown_list.filters, shown_list.order_name))
    common: dict[str, Any] = {
        "replaced_by": pages.own_template("list"),
        "place": pages.place,
        "pages": pages,
        "list": shown_list,
        "controls": shown_list.filter_controls(records, filtered),
        "filters": filtered,
        "here": request.full_path.rstrip("?"),
        "is_paged": bool(request.args.get("after") or request.args.get("before")),
    }
    try:
        found = _found(records, *shown_list.selection())
    except RequestError as error:
        named = {camel_case(name): name for name in shown_list.filters}
        return refused_list("records.html", error, named, records=[], total=0, **common)
    total = found.count() if found.count else 0
    return page("records.html", records=found.nodes, total=total, **_links(found, pages, filtered), **common)


def _found(records: Records, wanted: RecordFilter, order: RecordOrder) -> Page:
    after, before = request.args.get("after"), request.args.get("before")
    if before:
        return records_page(records, wanted, order, None, None, PAGE_DEFAULT, before)
    return records_page(records, wanted, order, PAGE_DEFAULT, after or None, None, None)


def _links(found: Page, pages: RecordPages, filtered: Filters) -> dict[str, Any]:
    info = found.page_info
    return {
        "previous_url": pages.url_with(filtered, before=info.start_cursor) if info.has_previous_page else None,
        "next_url": pages.url_with(filtered, after=info.end_cursor) if info.has_next_page else None,
    }


def _frequent_values(records: Records, field: Field, chosen: str) -> Sequence[tuple[str, str]]:
    """The options of a facet: the most frequent values and the chosen one."""
    found = records.facet(field.column, _VALUES_SHOWN)
    options = [(value, f"{shorten(value)} ({count:,})") for value, count in found]
    if chosen and chosen not in dict(options):
        options.append((chosen, shorten(chosen)))
    if len(found) == _VALUES_SHOWN:
        options.append(("", "… and less frequent ones: search for them"))
    return options


def _with_currency(field: Field) -> str:
    label = label_of(field.name)
    return f"{label} ({field.currency})" if isinstance(field, Money) and field.currency else label
