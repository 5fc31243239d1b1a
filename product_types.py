"""Declares the GraphQL types, queries, mutations and subscriptions of products; decides nothing."""

from collections.abc import Iterator
from typing import Any

import graphene

import product_pages as pages
import product_requests as requests
from async_db import QueueState, QueueStatus
from connections import PAGE_DEFAULT, PAGE_MAX, Page, parse_id
from database.products import ProductFilter, ProductOrder
from graphql_http import KEEP_ALIVE, RequestError
from graphql_scalars import JSON, PageInfo
from product import Product as StoredProduct
from product_pages import Receipt, Shelf
from product_requests import Answer
from request_context import Context, reading
from writes import Operation, WriteErrorCode, WriteFailure, WriteStatus

_KEEP_ALIVE_SECONDS = 5.0

OperationEnum = graphene.Enum.from_enum(Operation, name="WriteOperation")
StatusEnum = graphene.Enum.from_enum(WriteStatus, name="WriteStatus")
WriteErrorEnum = graphene.Enum.from_enum(WriteErrorCode, name="WriteErrorCode")
QueueStateEnum = graphene.Enum.from_enum(QueueState, name="QueueState")
OrderEnum = graphene.Enum.from_enum(ProductOrder, name="ProductOrder")
UserErrorEnum = graphene.Enum("UserErrorCode", list(requests.USER_ERROR_CODES.items()))


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
        first=graphene.Int(description=f"Products after a cursor: 1 to {PAGE_MAX}"),
        after=graphene.String(),
        last=graphene.Int(description=f"Products before a cursor: 1 to {PAGE_MAX}"),
        before=graphene.String(),
        after_write=graphene.ID(),
    )
    categories = graphene.List(graphene.NonNull(Category), required=True)
    write = graphene.Field(Write, id=graphene.ID(required=True), description="The receipt of a write")
    writes = graphene.Field(
        WriteConnection,
        required=True,
        status=StatusEnum(),
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
        after: str | None = None,
    ) -> Page:
        return pages.receipts_page(info.context, status, PAGE_DEFAULT if first is None else first, after)

    @staticmethod
    @reading
    def resolve_queue(_root: None, info: graphene.ResolveInfo) -> QueueStatus:
        status: QueueStatus = info.context.queue.status()
        return status


class UserError(graphene.ObjectType):
    """What a client can mend."""

    field = graphene.List(graphene.NonNull(graphene.String), description="The path of the argument")
    message = graphene.String(required=True)
    code = UserErrorEnum(required=True)


class _Answered:
    success = graphene.Boolean(required=True, description="True only when what was asked is on disk")
    message = graphene.String(required=True)
    errors = graphene.List(graphene.NonNull(UserError), required=True)


class _OneWrite(_Answered):
    write = graphene.Field(Write, description="The receipt; null when nothing was accepted")


class _RequiredFields:
    title = graphene.String(required=True)
    price = graphene.Float(required=True, description="Two decimals at the most")


class _OptionalFields:
    description = graphene.String()
    category = graphene.String()
    image = graphene.String(description="An absolute http or https URL")
    rating_rate = graphene.Float(description="From 0 to 5")
    rating_count = graphene.Int()


class ProductInput(_RequiredFields, _OptionalFields, graphene.InputObjectType):
    """The fields of a product to create."""


class _Key:
    idempotency_key = graphene.String(
        description="The same key and arguments give the same receipt, however often they are sent"
    )


class _NewProduct(_RequiredFields, _OptionalFields, _Key):
    pass


class CreateProduct(_OneWrite, graphene.Mutation):
    """Queue the creation of a product."""

    class Arguments(_NewProduct):
        """See ProductInput."""

    @staticmethod
    @reading
    def mutate(
        _root: None, info: graphene.ResolveInfo, idempotency_key: str | None = None, **fields: Any
    ) -> Answer:
        """Answer with the receipt."""
        return requests.create(info.context, fields, idempotency_key)


class CreateProductSync(_OneWrite, graphene.Mutation):
    """Create a product, and answer when it is applied."""

    class Arguments(_NewProduct):
        """See ProductInput."""

    product = graphene.Field(Product)

    @staticmethod
    @reading
    def mutate(
        _root: None, info: graphene.ResolveInfo, idempotency_key: str | None = None, **fields: Any
    ) -> Answer:
        """Answer with the product."""
        return requests.create_sync(info.context, fields, idempotency_key)


class CreateProducts(_Answered, graphene.Mutation):
    """Queue the creation of up to 1,000 products: all in one commit, or none."""

    class Arguments(_Key):
        """The products, in the order in which they are applied."""

        products = graphene.List(graphene.NonNull(ProductInput), required=True)

    writes = graphene.List(graphene.NonNull(Write), required=True, description="One receipt for each product")

    @staticmethod
    @reading
    def mutate(
        _root: None,
        info: graphene.ResolveInfo,
        products: list[dict[str, Any]],
        idempotency_key: str | None = None,
    ) -> Answer:
        """Answer with the receipts."""
        return requests.create_many(info.context, products, idempotency_key)


class UpdateProduct(_OneWrite, graphene.Mutation):
    """Queue an update of the fields that are given; null empties an optional one."""

    class Arguments(_OptionalFields, _Key):
        """The product, and what to change."""

        product_id = graphene.ID(required=True)
        title = graphene.String()
        price = graphene.Float(description="Two decimals at the most")

    @staticmethod
    @reading
    def mutate(
        _root: None,
        info: graphene.ResolveInfo,
        product_id: str,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Answer:
        """Answer with the receipt."""
        return requests.update(info.context, product_id, fields, idempotency_key)


class DeleteProduct(_OneWrite, graphene.Mutation):
    """Queue the deletion of a product."""

    class Arguments(_Key):
        """The product."""

        product_id = graphene.ID(required=True)

    @staticmethod
    @reading
    def mutate(
        _root: None, info: graphene.ResolveInfo, product_id: str, idempotency_key: str | None = None
    ) -> Answer:
        """Answer with the receipt."""
        return requests.delete(info.context, product_id, idempotency_key)


class RetryWrite(_OneWrite, graphene.Mutation):
    """Queue a FAILED write again, as a new write that names the old one."""

    class Arguments(_Key):
        """The FAILED write."""

        id = graphene.ID(required=True)

    @staticmethod
    @reading
    def mutate(
        _root: None,
        info: graphene.ResolveInfo,
        id: str,  # noqa: A002
        idempotency_key: str | None = None,
    ) -> Answer:
        """Answer with the new receipt."""
        return requests.retry(info.context, id, idempotency_key)


class Mutation(graphene.ObjectType):
    """Writes: answered when they are journaled, applied afterwards, in their order."""

    create_product = CreateProduct.Field(required=True)
    create_product_sync = CreateProductSync.Field(required=True)
    create_products = CreateProducts.Field(required=True)
    update_product = UpdateProduct.Field(required=True)
    delete_product = DeleteProduct.Field(required=True)
    retry_write = RetryWrite.Field(required=True)


class Subscription(graphene.ObjectType):
    """Events, as they happen."""

    write_settled = graphene.Field(
        Write, required=True, id=graphene.ID(required=True), description="The receipt, once it is settled"
    )

    @staticmethod
    @reading
    def subscribe_write_settled(_root: None, info: graphene.ResolveInfo, id: str) -> Iterator[Any]:  # noqa: A002
        """Check now, so that a wrong id is an answer and not a broken stream; then wait."""
        write_id = parse_id("id", id)
        if info.context.queue.find(write_id) is None:
            raise RequestError(f"id is {id!r}: there is no such write")
        return _until_settled(info.context, write_id)

    @staticmethod
    def resolve_write_settled(root: Receipt, _info: object, **_arguments: Any) -> Receipt:
        return root


def _until_settled(context: Context, write_id: int) -> Iterator[Any]:
    while (settled := context.queue.wait(write_id, _KEEP_ALIVE_SECONDS, counted=False)) is None:
        if context.queue.stop_announced:
            raise RequestError("The server is stopping: watch this write again shortly", code="SHUTTING_DOWN")
        yield KEEP_ALIVE
    yield Receipt(settled, Shelf(context, [settled]))
