"""Declares the GraphQL types and queries of products and receipts; decides nothing."""

from typing import Any

import graphene

import product_pages as pages
from async_db import QueueState, QueueStatus
from connections import PAGE_DEFAULT, PAGE_MAX, Page, parse_id
from database.products import ProductFilter, ProductOrder
from graphql_scalars import JSON, PageInfo
from product import Product as StoredProduct
from product_pages import Receipt, Shelf
from request_context import Context, reading
from writes import Operation, WriteErrorCode, WriteFailure, WriteFilter, WriteStatus

OperationEnum = graphene.Enum.from_enum(Operation, name="WriteOperation")
StatusEnum = graphene.Enum.from_enum(WriteStatus, name="WriteStatus")
WriteErrorEnum = graphene.Enum.from_enum(WriteErrorCode, name="WriteErrorCode")
QueueStateEnum = graphene.Enum.from_enum(QueueState, name="QueueState")
OrderEnum = graphene.Enum.from_enum(ProductOrder, name="ProductOrder")


class Product(graphene.ObjectType):
    """A product of the catalogue."""

    id = graphene.ID(required=True)
    title = graphene.String(required=True)
    price = graphene.Float(required=True, description="Held exactly; two decimals at the most")
    description = graphene.String()
    category = graphene.String()
    image = graphene.String(description="The URL of a picture")
    rating = JSON(description='`{"rate": 4.8, "count": 342}`, or null')
    rating_rate = graphene.Float(description="From 0 to 5")
    rating_count = graphene.Int()
    created_at = graphene.DateTime(required=True, description="When its creation was accepted")
    updated_at = graphene.DateTime(required=True, description="When the last applied write was accepted")
    version = graphene.Int(required=True, description="Rises by one with each applied update")


class WriteFailureType(graphene.ObjectType):
    """Why a write FAILED."""

    class Meta:
        name = "WriteError"

    code = WriteErrorEnum(required=True)
    message = graphene.String(required=True)


class Write(graphene.ObjectType):
    """The receipt of an accepted write."""

    id = graphene.ID(required=True)
    operation = OperationEnum(required=True)
    status = StatusEnum(required=True)
    product_id = graphene.ID(required=True, description="Known at once, for a create too")
    product = graphene.Field(Product, description="The product as it is now; null when there is none")
    error = graphene.Field(WriteFailureType)
    accepted_at = graphene.DateTime(required=True)
    accepted_by = graphene.String(description="Who had it accepted: the name of a key; null without one")
    settled_at = graphene.DateTime()
    retry_of = graphene.ID(description="The FAILED write that this one tries again")

    @staticmethod
    def resolve_id(root: Receipt, _info: object) -> int:
        return root.write.id

    @staticmethod
    def resolve_operation(root: Receipt, _info: object) -> str:
        return root.write.operation

    @staticmethod
    def resolve_status(root: Receipt, _info: object) -> str:
        return root.write.status

    @staticmethod
    def resolve_product_id(root: Receipt, _info: object) -> int:
        return root.write.product_id

    @staticmethod
    @reading
    def resolve_product(root: Receipt, _info: object) -> StoredProduct | None:
        return root.shelf.get(root.write.product_id)

    @staticmethod
    def resolve_error(root: Receipt, _info: object) -> WriteFailure | None:
        return root.write.error

    @staticmethod
    def resolve_accepted_at(root: Receipt, _info: object) -> Any:
        return root.write.accepted_at

    @staticmethod
    def resolve_accepted_by(root: Receipt, _info: object) -> str | None:
        return root.write.accepted_by

    @staticmethod
    def resolve_settled_at(root: Receipt, _info: object) -> Any:
        return root.write.settled_at

    @staticmethod
    def resolve_retry_of(root: Receipt, _info: object) -> int | None:
        return root.write.retry_of


class ProductEdge(graphene.ObjectType):
    """A product and its place."""

    cursor = graphene.String(required=True)
    node = graphene.Field(Product, required=True)


class ProductConnection(graphene.ObjectType):
    """A page of products."""

    edges = graphene.List(graphene.NonNull(ProductEdge), required=True)
    nodes = graphene.List(graphene.NonNull(Product), required=True)
    page_info = graphene.Field(PageInfo, required=True)
    total_count = graphene.Int(required=True, description="Products that the filters let through")

    @staticmethod
    @reading
    def resolve_total_count(root: Page, _info: object) -> int | None:
        return root.count() if root.count else None


class WriteEdge(graphene.ObjectType):
    """A receipt and its place."""

    cursor = graphene.String(required=True)
    node = graphene.Field(Write, required=True)


class WriteConnection(graphene.ObjectType):
    """A page of receipts, newest first."""

    edges = graphene.List(graphene.NonNull(WriteEdge), required=True)
    nodes = graphene.List(graphene.NonNull(Write), required=True)
    page_info = graphene.Field(PageInfo, required=True)


class Category(graphene.ObjectType):
    """A category and how many products it has."""

    name = graphene.String(required=True)
    count = graphene.Int(required=True)


class Queue(graphene.ObjectType):
    """The queue of accepted writes; totals count since the catalogue was made."""

    depth = graphene.Int(required=True, description="Writes that wait")
    bytes = graphene.Float(required=True, description="Bytes that wait")
    oldest_age_ms = graphene.Float(required=True, description="Age of the oldest write that waits")
    applied_total = graphene.Float(required=True)
    failed_total = graphene.Float(required=True)
    writes_per_second = graphene.Float(required=True, description="Settled, over the last ten seconds")
    state = QueueStateEnum(required=True)

    @staticmethod
    def resolve_bytes(root: QueueStatus, _info: object) -> int:
        return root.size_bytes


class Query(graphene.ObjectType):
    """Reads: answered from the database."""

    all_products = graphene.List(
        graphene.NonNull(Product),
        required=True,
        search=graphene.String(description="Substring of title, description or category, in any case"),
        first=graphene.Int(default_value=PAGE_DEFAULT, description=f"At most {PAGE_MAX}"),
        skip=graphene.Int(default_value=0),
        after_write=graphene.ID(description="Wait until this write is settled"),
    )
    product = graphene.Field(Product, product_id=graphene.ID(required=True), after_write=graphene.ID())
    products = graphene.Field(
        ProductConnection,
        required=True,
        search=graphene.String(),
        category=graphene.String(),
        min_price=graphene.Float(),
        max_price=graphene.Float(),
        order_by=graphene.Argument(OrderEnum, default_value=ProductOrder.ID_ASC),
        first=graphene.Int(description=f"Products after a cursor: 0 to {PAGE_MAX}"),
        after=graphene.String(),
        last=graphene.Int(description=f"Products before a cursor: 0 to {PAGE_MAX}"),
        before=graphene.String(),
        after_write=graphene.ID(),
    )
    categories = graphene.List(graphene.NonNull(Category), required=True)
    write = graphene.Field(Write, id=graphene.ID(required=True), description="The receipt of a write")
    writes = graphene.Field(
        WriteConnection,
        required=True,
        status=StatusEnum(),
        product_id=graphene.ID(),
        by=graphene.String(description="The name of who had them accepted"),
        first=graphene.Int(default_value=PAGE_DEFAULT),
        after=graphene.String(),
        description="Receipts, newest first",
    )
    queue = graphene.Field(Queue, required=True)

    @staticmethod
    @reading
    def resolve_all_products(
        _root: None,
        info: graphene.ResolveInfo,
        first: int | None,
        skip: int | None,
        search: str | None = None,
        after_write: str | None = None,
    ) -> list[StoredProduct]:
        context: Context = info.context
        pages.await_write(context, after_write)
        return pages.all_products(context, search, PAGE_DEFAULT if first is None else first, skip or 0)

    @staticmethod
    @reading
    def resolve_product(
        _root: None, info: graphene.ResolveInfo, product_id: str, after_write: str | None = None
    ) -> StoredProduct | None:
        context: Context = info.context
        pages.await_write(context, after_write)
        found = context.products.get(parse_id("productId", product_id))
        return None if found is None else context.shown(found)

    @staticmethod
    @reading
    def resolve_products(
        _root: None,
        info: graphene.ResolveInfo,
        order_by: ProductOrder | None,
        search: str | None = None,
        category: str | None = None,
        min_price: float | None = None,
        max_price: float | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        after_write: str | None = None,
    ) -> Page:
        context: Context = info.context
        pages.await_write(context, after_write)
        wanted = ProductFilter(
            search=search or "",
            category=category,
            min_price_minor=pages.check_price_bound("minPrice", min_price),
            max_price_minor=pages.check_price_bound("maxPrice", max_price),
        )
        order = ProductOrder.ID_ASC if order_by is None else order_by
        return pages.products_page(context, wanted, order, first, after, last, before)

    @staticmethod
    @reading
    def resolve_categories(_root: None, info: graphene.ResolveInfo) -> list[dict[str, Any]]:
        return [{"name": name, "count": count} for name, count in info.context.products.categories()]

    @staticmethod
    @reading
    def resolve_write(_root: None, info: graphene.ResolveInfo, id: str) -> Receipt | None:  # noqa: A002
        found = info.context.queue.find(parse_id("id", id))
        return None if found is None else Receipt(found, Shelf(info.context, [found]))

    @staticmethod
    @reading
    def resolve_writes(
        _root: None,
        info: graphene.ResolveInfo,
        first: int | None,
        status: WriteStatus | None = None,
        product_id: str | None = None,
        by: str | None = None,
        after: str | None = None,
    ) -> Page:
        product = None if product_id is None else parse_id("productId", product_id)
        wanted = WriteFilter(status, product, by)
        return pages.receipts_page(info.context, wanted, PAGE_DEFAULT if first is None else first, after)

    @staticmethod
    @reading
    def resolve_queue(_root: None, info: graphene.ResolveInfo) -> QueueStatus:
        status: QueueStatus = info.context.queue.status()
        return status
