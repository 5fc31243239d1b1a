"""What a product is in the API: its type, queries and mutations. Change the API of your records here."""

from typing import Any

import graphene

import async_db
from afterwrite.base.counts import counted
from afterwrite.base.refusals import Problem
from afterwrite.graphql import receipts
from afterwrite.graphql.fields import connection_of, field, resolver_of
from afterwrite.graphql.scalars import JSON
from afterwrite.reads import pages
from afterwrite.reads.connections import PAGE_DEFAULT, PAGE_MAX, Page, parse_id
from afterwrite.resources.product import Product as StoredProduct
from afterwrite.resources.write import WriteStatus
from afterwrite.service.context import Context
from afterwrite.storage.products import ProductFilter, ProductOrder
from afterwrite.writes.requests import Answer, RequestProblem, answer_of, await_write

OrderEnum = graphene.Enum.from_enum(ProductOrder, name="ProductOrder")


class Product(graphene.ObjectType):
    """A product of the catalogue."""

    id = graphene.ID(required=True)
    title = graphene.String(required=True)
    price = graphene.Float(required=True, description="Held exactly; at most two decimals")
    description = graphene.String()
    category = graphene.String()
    image = graphene.String(description="The URL of a picture")
    rating = JSON(description='`{"rate": 4.8, "count": 342}`, or null')
    rating_rate = graphene.Float(description="From 0 to 5")
    rating_count = graphene.Int()
    created_at = graphene.DateTime(required=True, description="When its creation was accepted")
    updated_at = graphene.DateTime(required=True, description="When the last applied write was accepted")
    version = graphene.Int(required=True, description="Rises by one with each applied update")

    @staticmethod
    def resolve_image(root: StoredProduct, info: graphene.ResolveInfo) -> str | None:
        context: Context = info.context
        return context.absolute(root.image)


Write = receipts.write_type_of(Product)


class OneWrite(receipts.Answered):
    """The answer of a mutation that makes one write."""

    write = graphene.Field(Write, description=receipts.ONE_RECEIPT)


class Category(graphene.ObjectType):
    """A category and how many products it has."""

    name = graphene.String(required=True)
    count = graphene.Int(required=True)


def _all_products(
    context: Context, first: int | None, skip: int | None, search: str | None = None, after_write: str | None = None
) -> list[StoredProduct]:
    await_write(context.queue, after_write, context.wait_seconds)
    return pages.all_products(context.products, search, PAGE_DEFAULT if first is None else first, skip or 0)


def _product(context: Context, product_id: str, after_write: str | None = None) -> StoredProduct | None:
    await_write(context.queue, after_write, context.wait_seconds)
    return context.products.get(parse_id("productId", product_id))


def _products(
    context: Context,
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
    await_write(context.queue, after_write, context.wait_seconds)
    wanted = ProductFilter(
        search=search or "",
        category=category,
        min_price_minor=pages.check_price_bound("minPrice", min_price),
        max_price_minor=pages.check_price_bound("maxPrice", max_price),
    )
    order = ProductOrder.ID_ASC if order_by is None else order_by
    return pages.products_page(context.products, wanted, order, first, after, last, before)


def _categories(context: Context) -> list[dict[str, Any]]:
    return [{"name": name, "count": count} for name, count in context.products.categories()]


class Query(receipts.query_of(Write)):  # type: ignore[misc]
    """Reads of products: answered from the database."""

    all_products = field(
        graphene.List(graphene.NonNull(Product)),
        _all_products,
        required=True,
        search=graphene.String(description="Substring of title, description or category, in any case"),
        first=graphene.Int(default_value=PAGE_DEFAULT, description=f"At most {PAGE_MAX}"),
        skip=graphene.Int(default_value=0),
        after_write=graphene.ID(description="Wait until this write is settled"),
    )
    product = field(Product, _product, product_id=graphene.ID(required=True), after_write=graphene.ID())
    products = field(
        connection_of(Product, "Product", "A page of products.", total="Products that match the filters"),
        _products,
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
    categories = field(graphene.List(graphene.NonNull(Category)), _categories, required=True)


class _RequiredFields:
    title = graphene.String(required=True)
    price = graphene.Float(required=True, description="At most two decimals")


class _OptionalFields:
    description = graphene.String()
    category = graphene.String()
    image = graphene.String(description="An absolute http or https URL")
    rating_rate = graphene.Float(description="From 0 to 5")
    rating_count = graphene.Int()


class ProductInput(_RequiredFields, _OptionalFields, graphene.InputObjectType):
    """The fields of a product to create."""


class _NewProduct(_RequiredFields, _OptionalFields, receipts.Key):
    pass


def _create(context: Context, idempotency_key: str | None = None, **fields: Any) -> Answer:
    return answer_of(
        lambda: async_db.fire_and_forget_create(fields, idempotency_key=idempotency_key, context=context),
        f"Product '{fields.get('title')}' queued for creation",
    )


class CreateProduct(OneWrite, graphene.Mutation):
    """Queue the creation of a product."""

    Arguments = _NewProduct
    mutate = resolver_of(_create)


def _create_sync(context: Context, **fields: Any) -> Answer:
    accepted = _create(context, **fields)
    if accepted.write is None:
        return accepted
    write = async_db.settled(accepted.write, context=context)
    match write.status:
        case WriteStatus.QUEUED:
            message = f"Write {write.id} is accepted and still waits: nothing is lost or undone, ask for it later"
            return _not_created(write, RequestProblem.WRITE_PENDING, message)
        case WriteStatus.FAILED:
            message = f"The product was not created: {write.error_message}"
            return _not_created(write, RequestProblem.WRITE_FAILED, message)
    product = context.loader.get(write.product_id)
    return Answer(success=True, message=f"Product '{fields.get('title')}' created", writes=[write], product=product)


def _not_created(write: Any, problem: RequestProblem, message: str) -> Answer:
    return Answer(success=False, message=message, errors=[Problem(None, message, problem.value)], writes=[write])


class CreateProductSync(OneWrite, graphene.Mutation):
    """Create a product, and answer when it is applied."""

    Arguments = _NewProduct
    product = graphene.Field(Product)
    mutate = resolver_of(_create_sync)


def _create_many(context: Context, products: list[dict[str, Any]], idempotency_key: str | None = None) -> Answer:
    return answer_of(
        lambda: async_db.fire_and_forget_create_many(products, idempotency_key=idempotency_key, context=context),
        f"{counted(len(products), 'product')} queued for creation",
    )


class CreateProducts(receipts.Answered, graphene.Mutation):
    """Queue the creation of up to 1,000 products: all in one commit, or none."""

    class Arguments(receipts.Key):
        """The products, in the order in which they are applied."""

        products = graphene.List(graphene.NonNull(ProductInput), required=True)

    writes = graphene.List(graphene.NonNull(Write), required=True, description="One receipt for each product")
    mutate = resolver_of(_create_many)


def _update(context: Context, product_id: str, idempotency_key: str | None = None, **fields: Any) -> Answer:
    return answer_of(
        lambda: async_db.fire_and_forget_update(product_id, fields, idempotency_key=idempotency_key, context=context),
        f"Product {product_id} queued for update",
    )


class UpdateProduct(OneWrite, graphene.Mutation):
    """Queue an update of the fields that are given; null empties an optional one."""

    class Arguments(_OptionalFields, receipts.Key):
        """The product, and what to change."""

        product_id = graphene.ID(required=True)
        title = graphene.String()
        price = graphene.Float(description="At most two decimals")

    mutate = resolver_of(_update)


def _delete(context: Context, product_id: str, idempotency_key: str | None = None) -> Answer:
    return answer_of(
        lambda: async_db.fire_and_forget_delete(product_id, idempotency_key=idempotency_key, context=context),
        f"Product {product_id} queued for deletion",
    )


class DeleteProduct(OneWrite, graphene.Mutation):
    """Queue the deletion of a product."""

    class Arguments(receipts.Key):
        """The product."""

        product_id = graphene.ID(required=True)

    mutate = resolver_of(_delete)


class Mutation(receipts.mutation_of(Write)):  # type: ignore[misc]
    """Writes: answered when they are journaled, applied afterwards, in their order."""

    create_product = CreateProduct.Field(required=True)
    create_product_sync = CreateProductSync.Field(required=True)
    create_products = CreateProducts.Field(required=True)
    update_product = UpdateProduct.Field(required=True)
    delete_product = DeleteProduct.Field(required=True)


class Subscription(receipts.subscription_of(Write)):  # type: ignore[misc]
    """Events of writes, as they happen."""
