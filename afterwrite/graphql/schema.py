"""Builds the GraphQL schema from the resources, the application's own fields and those of tasks."""

from collections.abc import Mapping
from typing import Any

import graphene
from graphql import GraphQLObjectType, GraphQLSchema

from afterwrite.base.text import camel_case
from afterwrite.graphql import task_events, task_mutations, task_types
from afterwrite.graphql.resource_roots import roots_of
from afterwrite.resources.compiled import CompiledResource
from afterwrite.service.context import answering


def build_schema(
    resources: Mapping[str, CompiledResource], query: Any, mutation: Any, subscription: Any
) -> GraphQLSchema:
    """The schema of the resources, of the application's own fields and of tasks.

    Raises TypeError or AssertionError if they conflict.
    """
    for one in (query, mutation, subscription):
        if not (one is object or (isinstance(one, type) and issubclass(one, graphene.ObjectType))):
            raise TypeError(f"{one!r} has no fields of GraphQL: give a class derived from graphene.ObjectType")
    made_query, made_mutation, made_subscription = roots_of(resources)
    reads = "Reads from the database."
    writes = "Writes, which return when they are journaled, and tasks, which return when they are stored."
    schema: GraphQLSchema = graphene.Schema(
        query=_root("Query", reads, task_types.Query, query, made_query),
        mutation=_root("Mutation", writes, task_mutations.Mutation, mutation, made_mutation),
        subscription=_root(
            "Subscription", "Events as they happen.", task_events.Subscription, subscription, made_subscription
        ),
    ).graphql_schema
    _answer_refusals(schema.query_type, query)
    _answer_refusals(schema.mutation_type, mutation)
    return schema


def _answer_refusals(root: GraphQLObjectType | None, own: Any) -> None:
    """Let the application's own fields answer a refused write as the others do."""
    if root is None or own is object:
        return
    for key, one in own._meta.fields.items():
        field = root.fields[one.name or camel_case(key)]
        field.resolve = answering(field.resolve) if field.resolve else None


def _root(name: str, description: str, *parts: Any) -> Any:
    """A root type of all parts; ``object`` is none. A part overrides the fields of later ones."""
    return type(name, tuple(part for part in parts if part is not object), {"__doc__": description})
