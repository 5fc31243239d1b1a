"""The product API on Graphene: Flask, gunicorn with threads, SQLAlchemy, one commit per create."""

from typing import Any

import graphene
from flask import Flask, Response, jsonify, request
from graphene.types.generic import GenericScalar
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker

from bench.peers.database import engines
from bench.product_model import ProductModel


class Product(graphene.ObjectType):
    id = graphene.ID(required=True)
    title = graphene.String(required=True)
    price = graphene.Float(required=True)
    description = graphene.String()
    category = graphene.String()
    image = graphene.String()
    rating = GenericScalar()


class Query(graphene.ObjectType):
    product = graphene.Field(Product, product_id=graphene.ID(required=True))
    all_products = graphene.List(
        graphene.NonNull(Product), required=True, first=graphene.Int(), skip=graphene.Int(default_value=0)
    )

    def resolve_product(self, info: graphene.ResolveInfo, product_id: str) -> ProductModel | None:
        with info.context["reads"]() as session:
            row: ProductModel | None = session.get(ProductModel, int(product_id))
            return row

    def resolve_all_products(
        self, info: graphene.ResolveInfo, skip: int, first: int | None = None
    ) -> list[ProductModel]:
        with info.context["reads"]() as session:
            return list(session.scalars(select(ProductModel).order_by(ProductModel.id).offset(skip).limit(first)))


class CreateProduct(graphene.Mutation):
    class Arguments:
        title = graphene.String(required=True)
        price = graphene.Float(required=True)
        description = graphene.String()
        category = graphene.String()
        image = graphene.String()
        rating_rate = graphene.Float()
        rating_count = graphene.Int()

    success = graphene.Boolean(required=True)
    message = graphene.String(required=True)
    product = graphene.Field(Product)

    def mutate(self, info: graphene.ResolveInfo, **values: Any) -> "CreateProduct":
        row = ProductModel(**values)
        with info.context["writes"].begin() as session:
            session.add(row)
        return CreateProduct(success=True, message=f"Product '{row.title}' created", product=row)


class Mutation(graphene.ObjectType):
    create_product = CreateProduct.Field()


def create_app() -> Flask:
    """Return the application."""
    reads, writes = (sessionmaker(engine, expire_on_commit=False) for engine in engines())
    schema = graphene.Schema(query=Query, mutation=Mutation)
    app = Flask(__name__)

    @app.post("/graphql")
    def graphql() -> Response:
        body = request.get_json()
        result = schema.execute(
            body["query"],
            variables=body.get("variables"),
            operation_name=body.get("operationName"),
            context_value={"reads": reads, "writes": writes},
        )
        return jsonify(result.formatted)

    return app
