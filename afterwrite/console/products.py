"""The pages of products: list, search, create, edit and delete."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, request, url_for

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import composed, shorten
from afterwrite.console.answers import page, page_of
from afterwrite.console.forms import Form, again, given, without_name
from afterwrite.console.lists import Filters, filters_of, known_id, refused_list
from afterwrite.graphql_http import RequestError
from afterwrite.graphql_http.strict_json import finite
from afterwrite.reads.connections import PAGE_DEFAULT, Page
from afterwrite.reads.filters import stored_bound
from afterwrite.reads.pages import records_page
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.field import FieldProblem
from afterwrite.resources.write import Write
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.storage.records import Condition, RecordFilter, RecordOrder, Records, orders_of
from afterwrite.writes import requests

ORDERS = {
    "ID_ASC": "Oldest first",
    "TITLE_ASC": "Title, A to Z",
    "TITLE_DESC": "Title, Z to A",
    "PRICE_ASC": "Price, low to high",
    "PRICE_DESC": "Price, high to low",
}
_CATEGORIES_SHOWN = 100
_FIELDS = ("title", "price", "category", "image", "rating_rate", "rating_count", "description")
_FILTERS = ("search", "category", "min_price", "max_price", "order")


PRODUCT_ROUTES = {
    "GET /products": "read",
    "GET /products/export.<kind>": "read",
    "GET /products/new": "create",
    "POST /products": "create",
    "GET /products/upload": "create",
    "POST /products/upload": "create",
    "GET /products/<int:product_id>": "update",
    "POST /products/<int:product_id>": "update",
    "GET /products/<int:product_id>/delete": "delete",
    "POST /products/<int:product_id>/delete": "delete",
}
"""The pages of products, each with the act whose role it requires."""


class Selection(NamedTuple):
    """The filter and order of products in the URL."""

    wanted: RecordFilter
    order: RecordOrder


def has_pages(resource: CompiledResource) -> bool:
    """Whether it is the product, with the fields that the pages show."""
    return resource.name == first_version.RESOURCE and resource.fields.keys() >= set(_FIELDS)


def has_products(service: Service) -> bool:
    """Whether the application declares such a product."""
    return any(map(has_pages, service.resources.values()))


def add_product_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/products`` and the forms of a product."""
    resource = service.records[first_version.RESOURCE].resource

    @blueprint.get("/products")
    def products() -> Response:
        return page_of(service.queue.settled_through, lambda: _list(context()))

    @blueprint.get("/products/new")
    def new_product() -> Response:
        return page("product_form.html", place="products", product=None, form=Form({}))

    @blueprint.post("/products")
    def create_product() -> Response:
        def create(now: Context, form: Form) -> Write:
            fields = {name: _value(name, given(form.values, name)) for name in _FIELDS}
            return requests.create(now.queue, resource, fields, form.key, now.by)

        return accept("Create", "product_form.html", None, create)

    @blueprint.get("/products/<int:product_id>")
    def edit_product(product_id: int) -> Response:
        found = _found(service, product_id)
        values = _values(found)
        opened_with = {f"was_{name}": value for name, value in values.items()}
        return page("product_form.html", place="products", product=found, form=Form(values | opened_with))

    @blueprint.post("/products/<int:product_id>")
    def change_product(product_id: int) -> Response:
        def change(now: Context, form: Form) -> Write:
            return requests.update(
                now.queue, resource, str(known_id(product_id)), _changes(form.values), form.key, now.by
            )

        return accept("Change", "product_form.html", product_id, change)

    @blueprint.get("/products/<int:product_id>/delete")
    def delete_product_form(product_id: int) -> Response:
        found = _found(service, product_id)
        return page("product_delete.html", place="products", product=found, form=Form({}))

    @blueprint.post("/products/<int:product_id>/delete")
    def delete_product(product_id: int) -> Response:
        def delete(now: Context, form: Form) -> Write:
            return requests.delete(now.queue, resource, str(known_id(product_id)), form.key, now.by)

        return accept("Delete", "product_delete.html", product_id, delete)

    def accept(
        word: str, template: str, product_id: int | None, request_write: Callable[[Context, Form], Write]
    ) -> Response:
        """The receipt of a submitted form, or the form with its errors."""
        form = Form(request.form)
        try:
            write = request_write(context(), form)
        except Refused as refused:
            found = None if product_id is None else _found(service, product_id)
            return page(template, 422, place="products", product=found, form=_again(form, refused))
        return page("product_receipt.html", place="products", write=write, word=word)


def products_of(context: Context) -> Records:
    """The reads of products."""
    return context.records[first_version.RESOURCE]


def selection(resource: CompiledResource) -> Selection:
    """The selection in the URL of the current request. Raises RequestError for invalid filters."""
    asked = request.args
    price, category = resource.fields["price"], asked.get("category") or None
    conditions = [] if category is None else [Condition("category", "equal", composed(category))]
    for name, comparison in (("min_price", "minimum"), ("max_price", "maximum")):
        if (bound := given(asked, name)) is not None:
            conditions.append(Condition(price.column, comparison, stored_bound(price, name, bound)))
    order = asked.get("order", "")
    orders = orders_of(resource)
    return Selection(
        RecordFilter(asked.get("search", ""), tuple(conditions)), orders[order if order in ORDERS else "ID_DESC"]
    )


def _list(context: Context) -> Response:
    filters = filters_of(_FILTERS)
    common: dict[str, Any] = {
        "place": "products",
        "categories": _categories(context, composed(filters.get("category") or "")),
        "filters": filters,
        "orders": ORDERS,
        "here": request.full_path.rstrip("?"),
        "is_paged": bool(request.args.get("after") or request.args.get("before")),
    }
    try:
        found = _page(context, *selection(products_of(context).resource))
    except RequestError as error:
        return refused_list("products.html", error, products=[], total=0, export={}, **common)
    total = found.count() if found.count else 0
    return page("products.html", products=found.nodes, total=total, **_pages(found, filters), **common)


def _categories(context: Context, chosen: str) -> list[tuple[str, str]]:
    """The options of the category filter: the largest categories and the chosen one."""
    found = products_of(context).facet("category", _CATEGORIES_SHOWN)
    options = [(name, f"{shorten(name)} ({count:,})") for name, count in found]
    if chosen and chosen not in dict(options):
        options.append((chosen, shorten(chosen)))
    if len(found) == _CATEGORIES_SHOWN:
        options.append(("", "… and smaller ones: search for them"))
    return options


def _page(context: Context, wanted: RecordFilter, order: RecordOrder) -> Page:
    after, before = request.args.get("after"), request.args.get("before")
    if before:
        return records_page(products_of(context), wanted, order, None, None, PAGE_DEFAULT, before)
    return records_page(products_of(context), wanted, order, PAGE_DEFAULT, after or None, None, None)


def _pages(found: Page, filters: Filters) -> dict[str, Any]:
    info = found.page_info
    earlier = url_for("console.products", **filters, before=info.start_cursor)
    later = url_for("console.products", **filters, after=info.end_cursor)
    return {
        "previous_url": earlier if info.has_previous_page else None,
        "next_url": later if info.has_next_page else None,
        "export": {kind: url_for("console.export_products", kind=kind, **filters) for kind in ("csv", "jsonl")},
    }


def _again(form: Form, refused: Refused) -> Form:
    problems = [problem._replace(message=_form_message(problem)) for problem in refused.problems]
    return again(form, Refused(problems), _FIELDS)


def _form_message(error: Problem) -> str:
    """The message of a problem next to its field in the form."""
    if error.code == FieldProblem.REQUIRED:
        return "Give a value"
    if error.code == requests.RequestProblem.NOTHING_TO_CHANGE:
        return "Nothing has changed: change a field, or close the form"
    return without_name(error.message, error.field[-1] if error.field else "")


def _found(service: Service, product_id: int) -> Record:
    found = service.records[first_version.RESOURCE].get(known_id(product_id))
    if found is None:
        abort(404, f"There is no product {product_id}: it may have been deleted")
    return found


def _values(product: Record) -> dict[str, str]:
    """The form values of a product."""
    values = {name: getattr(product, name) for name in _FIELDS if name != "price"}
    texts = {name: "" if value is None else str(value) for name, value in values.items()}
    return texts | {"price": f"{product.price_minor / 100:.2f}"}


def _changes(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields that differ from the values that the form was opened with, so concurrent changes of others stay."""
    return {
        name: _value(name, given(form, name))
        for name in _FIELDS
        if name in form and given(form, name) != given(form, f"was_{name}")
    }


def _value(name: str, text: str | None) -> Any:
    """The value of a field's text; validation refuses a text that is not a number."""
    if text is None or name not in ("rating_rate", "rating_count"):
        return text
    try:
        return int(text) if name == "rating_count" else finite(text)
    except ValueError:
        return text
