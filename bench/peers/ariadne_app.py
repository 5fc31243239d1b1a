"""The product API on Ariadne: its ASGI application, uvicorn, SQLAlchemy on asyncio, one commit per create."""

from functools import lru_cache
from typing import Any

from ariadne import MutationType, QueryType, make_executable_schema
from ariadne.asgi import GraphQL
from graphql import GraphQLResolveInfo, parse, validate
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

from bench.peers.async_database import async_engines
from bench.product_model import ProductModel

SCHEMA = """
scalar JSON

type Product {
  id: ID!
  title: String!
  price: Float!
  description: String
  category: String
  image: String
  rating: JSON
}

type CreateProduct {
  success: Boolean!
  message: String!
  product: Product
}

type Query {
  product(productId: ID!): Product
  allProducts(first: Int, skip: Int = 0): [Product!]!
}

type Mutation {
  createProduct(title: String!, price: Float!, description: String, category: String, image: String,
    ratingRate: Float, ratingCount: Int): CreateProduct!
}
"""
CACHED_DOCUMENTS = 128
query, mutation = QueryType(), MutationType()


@query.field("product")
async def product(_: object, info: GraphQLResolveInfo, product_id: str) -> ProductModel | None:
    async with info.context["reads"]() as session:
        row: ProductModel | None = await session.get(ProductModel, int(product_id))
        return row


@query.field("allProducts")
async def all_products(
    _: object, info: GraphQLResolveInfo, first: int | None = None, skip: int = 0
) -> list[ProductModel]:
    async with info.context["reads"]() as session:
        return list(await session.scalars(select(ProductModel).order_by(ProductModel.id).offset(skip).limit(first)))


@mutation.field("createProduct")
async def create_product(_: object, info: GraphQLResolveInfo, **values: Any) -> dict[str, Any]:
    row = ProductModel(**values)
    async with info.context["writes"].begin() as session:
        session.add(row)
    return {"success": True, "message": f"Product '{row.title}' created", "product": row}


def create_app() -> GraphQL:
    """Return the application.

    It has the caches that Strawberry brings, at the two hooks which Ariadne has for them.
    """
    reads, writes = (async_sessionmaker(engine, expire_on_commit=False) for engine in async_engines())
    parsed = lru_cache(CACHED_DOCUMENTS)(parse)
    return GraphQL(
        make_executable_schema(SCHEMA, query, mutation, convert_names_case=True),
        context_value={"reads": reads, "writes": writes},
        query_parser=lambda _, data: parsed(data["query"]),
        query_validator=lru_cache(CACHED_DOCUMENTS)(validate),
    )
