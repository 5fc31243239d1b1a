"""Declares the GraphQL mutations of products; each answers when its writes are journaled."""

from typing import Any

import graphene

import product_requests as requests
from product_requests import Answer
from product_types import Product, Write
from request_context import reading

UserErrorEnum = graphene.Enum("UserErrorCode", list(requests.USER_ERROR_CODES.items()))


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
