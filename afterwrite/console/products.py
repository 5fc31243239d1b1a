"""The page of products: found, paged, created, edited and deleted."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, request, url_for

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import composed, shorten
from afterwrite.console.answers import page, page_of
from afterwrite.console.forms import Form, again, given, without_name
from afterwrite.console.lists import Filters, filters_of, known_id, refused_list
from afterwrite.graphql_http import RequestError
from afterwrite.graphql_http.json_rules import finite
from afterwrite.reads.connections import PAGE_DEFAULT, Page
from afterwrite.reads.pages import check_price_bound, products_page
from afterwrite.resources.product import FieldProblem, Product
from afterwrite.resources.write import Write
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.storage.products import ProductFilter, ProductOrder
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


class Selection(NamedTuple):
    """The products that the filters of the URL let through, in their order."""

    wanted: ProductFilter
    order: ProductOrder


def add_product_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/products`` and the forms of one product."""

    @blueprint.get("/products")
    def products() -> Response:
        return page_of(service.queue.settled_through, lambda: _list(context()))

    @blueprint.get("/products/new")
    def new_product() -> Response:
        return page("product_form.html", place="products", product=None, form=Form({}))

    @blueprint.post("/products")
    def create_product() -> Response:
        form = Form(request.form)
        fields = {name: _value(name, given(form.values, name)) for name in _FIELDS}
        now = context()
        try:
            write = requests.create(now.queue, fields, form.key, now.by)
        except Refused as refused:
            shown = _again(form, refused)
            return page("product_form.html", 422, place="products", product=None, form=shown)
        return _receipt("Create", write)

    @blueprint.get("/products/<int:product_id>")
    def edit_product(product_id: int) -> Response:
        found = _found(service, product_id)
        values = _values(found)
        opened_with = {f"was_{name}": value for name, value in values.items()}
        return page("product_form.html", place="products", product=found, form=Form(values | opened_with))

    @blueprint.post("/products/<int:product_id>")
    def change_product(product_id: int) -> Response:
        form, now = Form(request.form), context()
        try:
            changes = _changes(form.values)
            write = requests.update(now.queue, str(known_id(product_id)), changes, form.key, now.by)
        except Refused as refused:
            found, shown = _found(service, product_id), _again(form, refused)
            return page("product_form.html", 422, place="products", product=found, form=shown)
        return _receipt("Change", write)

    @blueprint.get("/products/<int:product_id>/delete")
    def delete_product_form(product_id: int) -> Response:
        found = _found(service, product_id)
        return page("product_delete.html", place="products", product=found, form=Form({}))

    @blueprint.post("/products/<int:product_id>/delete")
    def delete_product(product_id: int) -> Response:
        form, now = Form(request.form), context()
        try:
            write = requests.delete(now.queue, str(known_id(product_id)), form.key, now.by)
        except Refused as refused:
            found, shown = _found(service, product_id), _again(form, refused)
            return page("product_delete.html", 422, place="products", product=found, form=shown)
        return _receipt("Delete", write)


def selection() -> Selection:
    """What the URL of the current request selects. Raises RequestError for what cannot be meant."""
    asked = request.args
    order = asked.get("order", "")
    return Selection(
        ProductFilter(
            search=asked.get("search", ""),
            category=asked.get("category") or None,
            min_price_minor=check_price_bound("min_price", _number(asked.get("min_price"))),
            max_price_minor=check_price_bound("max_price", _number(asked.get("max_price"))),
        ),
        ProductOrder[order] if order in ORDERS else ProductOrder.ID_DESC,
    )


def _list(context: Context) -> Response:
    filters = filters_of(_FILTERS)
    shown: dict[str, Any] = {
        "place": "products",
        "categories": _categories(context, composed(filters.get("category") or "")),
        "filters": filters,
        "orders": ORDERS,
        "here": request.full_path.rstrip("?"),
        "is_paged": bool(request.args.get("after") or request.args.get("before")),
    }
    try:
        found = _page(context, *selection())
    except RequestError as error:
        return refused_list("products.html", error, products=[], total=0, export={}, **shown)
    total = found.count() if found.count else 0
    return page("products.html", products=found.nodes, total=total, **_pages(found, filters), **shown)


def _categories(context: Context, chosen: str) -> list[tuple[str, str]]:
    """What can be chosen: the largest categories, and the chosen one whatever its size; the search finds the others."""
    found = context.products.largest_categories(_CATEGORIES_SHOWN)
    options = [(name, f"{shorten(name)} ({count:,})") for name, count in found]
    if chosen and chosen not in dict(options):
        options.append((chosen, shorten(chosen)))
    if len(found) == _CATEGORIES_SHOWN:
        options.append(("", "… and smaller ones: search for them"))
    return options


def _page(context: Context, wanted: ProductFilter, order: ProductOrder) -> Page:
    after, before = request.args.get("after"), request.args.get("before")
    if before:
        return products_page(context.products, wanted, order, None, None, PAGE_DEFAULT, before)
    return products_page(context.products, wanted, order, PAGE_DEFAULT, after or None, None, None)


def _pages(found: Page, filters: Filters) -> dict[str, Any]:
    info = found.page_info
    earlier = url_for("console.products", **filters, before=info.start_cursor)
    later = url_for("console.products", **filters, after=info.end_cursor)
    return {
        "previous_url": earlier if info.has_previous_page else None,
        "next_url": later if info.has_next_page else None,
        "export": {
            kind: url_for("console.export_products", kind=kind, **filters) for kind in ("csv", "jsonl")
        },
    }


def _receipt(word: str, write: Write) -> Response:
    return page("product_receipt.html", place="products", write=write, word=word)


def _again(form: Form, refused: Refused) -> Form:
    told = [problem._replace(message=_told(problem)) for problem in refused.problems]
    return again(form, Refused(told), _FIELDS)


def _told(error: Problem) -> str:
    """Why a value is refused, to somebody who sees its field."""
    if error.code == FieldProblem.REQUIRED:
        return "Give a value"
    if error.code == requests.RequestProblem.NOTHING_TO_CHANGE:
        return "Nothing is changed yet: change a field, or close the form"
    return without_name(error.message, error.field[-1] if error.field else "")


def _found(service: Service, product_id: int) -> Product:
    found = service.products.get(known_id(product_id))
    if found is None:
        abort(404, f"There is no product {product_id}: it may have been deleted")
    return found


def _values(product: Product) -> dict[str, str]:
    """The fields of a product as a form holds them."""
    values = {name: getattr(product, name) for name in _FIELDS if name != "price"}
    shown = {name: "" if value is None else str(value) for name, value in values.items()}
    return shown | {"price": f"{product.price_minor / 100:.2f}"}


def _changes(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields that differ from what the form was opened with; another one's changes of others stay."""
    return {
        name: _value(name, given(form, name))
        for name in _FIELDS
        if name in form and given(form, name) != given(form, f"was_{name}")
    }


def _value(name: str, text: str | None) -> Any:
    """What a text of the form means for its field; a text that is no number is left for the rules to refuse."""
    if text is None or name not in ("rating_rate", "rating_count"):
        return text
    try:
        return int(text) if name == "rating_count" else finite(text)
    except ValueError:
        return text


def _number(text: str | None) -> Any:
    return text.strip() if text and text.strip() else None
