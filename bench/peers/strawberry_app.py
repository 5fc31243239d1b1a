"""The product API on Strawberry: FastAPI, uvicorn, SQLAlchemy on asyncio, one commit per create."""

# Strawberry is installed elsewhere: mypy does not see that its types have these arguments.
# mypy: disable-error-code="call-arg"

import strawberry
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter
from strawberry.scalars import JSON
from strawberry.types import Info

from bench.peers.async_database import async_engines
from bench.product_model import ProductModel

Sessions = async_sessionmaker[AsyncSession]


@strawberry.type
class Product:
    id: strawberry.ID
    title: str
    price: float
    description: str | None
    category: str | None
    image: str | None
    rating: JSON | None

    @classmethod
    def of(cls, row: ProductModel) -> "Product":
        """The product of a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            title=row.title,
            price=row.price,
            description=row.description,
            category=row.category,
            image=row.image,
            rating=row.rating,
        )


@strawberry.type
class CreateProduct:
    success: bool
    message: str
    product: Product | None = None


@strawberry.type
class Query:
    @strawberry.field
    async def product(self, info: Info, product_id: strawberry.ID) -> Product | None:
        reads: Sessions = info.context["reads"]
        async with reads() as session:
            row = await session.get(ProductModel, int(product_id))
        return Product.of(row) if row else None

    @strawberry.field
    async def all_products(self, info: Info, first: int | None = None, skip: int | None = 0) -> list[Product]:
        reads: Sessions = info.context["reads"]
        async with reads() as session:
            rows = await session.scalars(select(ProductModel).order_by(ProductModel.id).offset(skip).limit(first))
            return [Product.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def create_product(
        self,
        info: Info,
        title: str,
        price: float,
        description: str | None = None,
        category: str | None = None,
        image: str | None = None,
        rating_rate: float | None = None,
        rating_count: int | None = None,
    ) -> CreateProduct:
        row = ProductModel(
            title=title,
            price=price,
            description=description,
            category=category,
            image=image,
            rating_rate=rating_rate,
            rating_count=rating_count,
        )
        writes: Sessions = info.context["writes"]
        async with writes.begin() as session:
            session.add(row)
        return CreateProduct(success=True, message=f"Product '{title}' created", product=Product.of(row))


def create_app() -> FastAPI:
    """Return the application, with the caches that Strawberry's documentation recommends for performance."""
    reads, writes = (async_sessionmaker(engine, expire_on_commit=False) for engine in async_engines())
    schema = strawberry.Schema(query=Query, mutation=Mutation, extensions=[ParserCache, ValidationCache])

    async def context() -> dict[str, Sessions]:
        return {"reads": reads, "writes": writes}

    app = FastAPI()
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    return app
