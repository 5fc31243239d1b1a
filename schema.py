"""Puts the GraphQL schema together from its parts: products and tasks."""

import graphene

import product_events
import product_mutations
import product_types
import task_events
import task_mutations
import task_types


class Query(task_types.Query, product_types.Query):
    """Reads: answered from the database."""


class Mutation(task_mutations.Mutation, product_mutations.Mutation):
    """Writes, which are answered when they are journaled, and tasks, which are answered when they are stored."""


class Subscription(task_events.Subscription, product_events.Subscription):
    """Events, as they happen."""


def build_schema() -> graphene.Schema:
    """The schema of products, receipts and tasks."""
    return graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription)
