"""The plain version of the product API: the usual textbook form of the same architecture.

Flask and Graphene, reads through a SQLAlchemy session, writes on an asyncio loop in a background thread with a new
aiosqlite connection each. Nothing is slowed down on purpose: the database is in WAL mode, the read engine pools its
connections, and the documents and answers are those of Afterwrite.
"""

# Graphene is untyped, and its classes must be subclassed.
# mypy: disallow-subclassing-any=False

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import aiosqlite
import graphene
from flask import Flask, Response, jsonify, request
from graphene.types.generic import GenericScalar
from sqlalchemy import create_engine, or_, select, text
from sqlalchemy.orm import Session, sessionmaker

from bench.product_model import Base, ProductModel

SYNC_SECONDS = 10
READ_CONNECTIONS = 32


class AsyncDatabase:
    """A background thread with an asyncio loop that runs the writes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def submit(self, write: Coroutine[Any, Any, int]) -> Future[int]:
        """Submit the write to the loop; fire-and-forget writes ignore the future."""
        return asyncio.run_coroutine_threadsafe(write, self._loop)

    async def insert(self, values: dict[str, Any]) -> int:
        """Insert a product on a new connection; return its id."""
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        return await self._execute(f"INSERT INTO products ({names}) VALUES ({marks})", tuple(values.values()))

    async def update(self, product_id: int, values: dict[str, Any]) -> int:
        """Update a product on a new connection; return its id."""
        sets = ", ".join(f"{name} = ?" for name in values)
        await self._execute(f"UPDATE products SET {sets} WHERE id = ?", (*values.values(), product_id))
        return product_id

    async def _execute(self, statement: str, values: tuple[Any, ...]) -> int:
        async with aiosqlite.connect(self._path) as connection:
            cursor = await connection.execute(statement, values)
            await connection.commit()
            return cursor.lastrowid or 0


class Product(graphene.ObjectType):
    id = graphene.ID(required=True)
    title = graphene.String(required=True)
    price = graphene.Float(required=True)
    description = graphene.String()
    category = graphene.String()
    image = graphene.String()
    rating = GenericScalar()


class Query(graphene.ObjectType):
    all_products = graphene.List(
        Product, search=graphene.String(), first=graphene.Int(), skip=graphene.Int(default_value=0)
    )
    product = graphene.Field(Product, product_id=graphene.ID(required=True))

    def resolve_all_products(
        self, info: graphene.ResolveInfo, skip: int, search: str | None = None, first: int | None = None
    ) -> list[ProductModel]:
        query = select(ProductModel).order_by(ProductModel.id)
        if search:
            columns = (ProductModel.title, ProductModel.description, ProductModel.category)
            query = query.where(or_(*(column.icontains(search) for column in columns)))
        session_factory: sessionmaker[Session] = info.context["sessions"]
        with session_factory() as session:
            return list(session.scalars(query.offset(skip).limit(first)))

    def resolve_product(self, info: graphene.ResolveInfo, product_id: str) -> ProductModel | None:
        session_factory: sessionmaker[Session] = info.context["sessions"]
        with session_factory() as session:
            return session.get(ProductModel, int(product_id))


FIELDS = {
    "description": graphene.String(),
    "category": graphene.String(),
    "image": graphene.String(),
    "rating_rate": graphene.Float(),
    "rating_count": graphene.Int(),
}


class CreateProduct(graphene.Mutation):
    class Arguments:
        title = graphene.String(required=True)
        price = graphene.Float(required=True)
        description, category, image, rating_rate, rating_count = FIELDS.values()

    success = graphene.Boolean()
    message = graphene.String()

    def mutate(self, info: graphene.ResolveInfo, **values: Any) -> "CreateProduct":
        database: AsyncDatabase = info.context["database"]
        database.submit(database.insert(values))
        return CreateProduct(success=True, message=f"Product '{values['title']}' queued for creation")


class CreateProductSync(graphene.Mutation):
    class Arguments(CreateProduct.Arguments):
        pass

    product = graphene.Field(Product)

    def mutate(self, info: graphene.ResolveInfo, **values: Any) -> "CreateProductSync":
        database: AsyncDatabase = info.context["database"]
        product_id = database.submit(database.insert(values)).result(timeout=SYNC_SECONDS)
        session_factory: sessionmaker[Session] = info.context["sessions"]
        with session_factory() as session:
            return CreateProductSync(product=session.get(ProductModel, product_id))


class UpdateProduct(graphene.Mutation):
    class Arguments:
        product_id = graphene.ID(required=True)
        title = graphene.String()
        price = graphene.Float()
        description, category, image, rating_rate, rating_count = FIELDS.values()

    success = graphene.Boolean()
    message = graphene.String()

    def mutate(self, info: graphene.ResolveInfo, product_id: str, **values: Any) -> "UpdateProduct":
        database: AsyncDatabase = info.context["database"]
        database.submit(database.update(int(product_id), values))
        return UpdateProduct(success=True, message=f"Product {product_id} queued for update")


class Mutation(graphene.ObjectType):
    create_product = CreateProduct.Field()
    create_product_sync = CreateProductSync.Field()
    update_product = UpdateProduct.Field()


def create_app() -> Flask:
    """Return the plain app on the database PLAIN_DATABASE, with its tables created."""
    path = os.environ["PLAIN_DATABASE"]
    engine = create_engine(f"sqlite:///{path}", pool_size=READ_CONNECTIONS)
    with engine.begin() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
        Base.metadata.create_all(connection)
    context = {"database": AsyncDatabase(path), "sessions": sessionmaker(engine, expire_on_commit=False)}
    schema = graphene.Schema(query=Query, mutation=Mutation)
    app = Flask(__name__)

    @app.post("/graphql")
    def graphql() -> Response:
        body = request.get_json()
        result = schema.execute(
            body["query"],
            variables=body.get("variables"),
            operation_name=body.get("operationName"),
            context_value=context,
        )
        return jsonify(result.formatted)

    return app
