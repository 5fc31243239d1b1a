"""The page of products: found, paged, created, edited and deleted."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, request, url_for

import product_requests as requests
from connections import PAGE_DEFAULT, Page
from console.answers import page, page_of
from console.forms import Form, errors_of, given
from console.lists import Filters, filters_of
from database.products import ProductFilter, ProductOrder
from product import FieldProblem, Product
from product_pages import check_price_bound, products_page
from product_requests import Answer, UserError
from request_context import Context
from service import Service

ORDERS = {
    "ID_DESC": "Newest first",
    "ID_ASC": "Oldest first",
    "TITLE_ASC": "Title, A to Z",
    "TITLE_DESC": "Title, Z to A",
    "PRICE_ASC": "Price, low to high",
    "PRICE_DESC": "Price, high to low",
}
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
        return _answer(requests.create(context(), fields, form.key), form, None, "Create")

    @blueprint.get("/products/<int:product_id>")
    def edit_product(product_id: int) -> Response:
        found = _found(service, product_id)
        values = _values(found)
        opened_with = {f"was_{name}": value for name, value in values.items()}
        return page("product_form.html", place="products", product=found, form=Form(values | opened_with))

    @blueprint.post("/products/<int:product_id>")
    def change_product(product_id: int) -> Response:
        form = Form(request.form)
        answer = requests.update(context(), str(product_id), _changes(form.values), form.key)
        return _answer(answer, form, _found(service, product_id), "Change")

    @blueprint.get("/products/<int:product_id>/delete")
    def delete_product_form(product_id: int) -> Response:
        found = _found(service, product_id)
        return page("product_delete.html", place="products", product=found, form=Form({}))

    @blueprint.post("/products/<int:product_id>/delete")
    def delete_product(product_id: int) -> Response:
        form = Form(request.form)
        answer = requests.delete(context(), str(product_id), form.key)
        return _answer(answer, form, None, "Delete")


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
    wanted, order = selection()
    after, before = request.args.get("after"), request.args.get("before")
    size = PAGE_DEFAULT
    if before:
        found = products_page(context, wanted, order, None, None, size, before)
    else:
        found = products_page(context, wanted, order, size, after or None, None, None)
    filters = filters_of(_FILTERS)
    return page(
        "products.html",
        place="products",
        products=found.nodes,
        total=found.count() if found.count else 0,
        categories=context.products.categories(),
        filters=filters,
        orders=ORDERS,
        here=request.full_path.rstrip("?"),
        **_pages(found, filters),
    )


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


def _answer(answer: Answer, form: Form, product: Product | None, word: str) -> Response:
    if answer.write is not None:
        return page("product_receipt.html", place="products", write=answer.write.write, word=word)
    refused = ((error.field[-1] if error.field else None, _told(error)) for error in answer.errors)
    shown = Form(form.values, errors_of(refused, _FIELDS))
    return page("product_form.html", 422, place="products", product=product, form=shown)


def _told(error: UserError) -> str:
    """Why a field is refused, to somebody who sees the field."""
    return "Give a value" if error.code == FieldProblem.REQUIRED else error.message


def _found(service: Service, product_id: int) -> Product:
    found = service.products.get(product_id)
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
        return int(text) if name == "rating_count" else float(text)
    except ValueError:
        return text


def _number(text: str | None) -> Any:
    return text.strip() if text and text.strip() else None
