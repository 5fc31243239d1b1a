"""Builds the GraphQL schema from the application's own fields and those of tasks."""

from typing import Any

import graphene
from graphql import GraphQLSchema

from afterwrite.graphql import task_events, task_mutations, task_types


def build_schema(query: Any, mutation: Any, subscription: Any) -> GraphQLSchema:
    """The schema of the application's fields and of tasks. Raises TypeError or AssertionError if they conflict."""

    class Query(task_types.Query, query):
        """Reads from the database."""

    class Mutation(task_mutations.Mutation, mutation):
        """Writes, which return when they are journaled, and tasks, which return when they are stored."""

    class Subscription(task_events.Subscription, subscription):
        """Events as they happen."""

    schema: GraphQLSchema = graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription).graphql_schema
    return schema
