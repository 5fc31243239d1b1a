"""Declares the GraphQL types of what callers did to tasks; decides nothing."""

import graphene

from graphql_scalars import PageInfo
from tasks.actions import ActionKind

ActionKindEnum = graphene.Enum.from_enum(ActionKind, name="TaskActionKind")


class TaskAction(graphene.ObjectType):
    """What a caller did to a task since it was accepted, to a type, or to what ended before a time."""

    id = graphene.ID(required=True)
    task_id = graphene.ID(description="Null: it was done to a type")
    type = graphene.String(description="The type of the task; null: it was done to tasks of every type")
    action = ActionKindEnum(required=True)
    by = graphene.String(description="Who did it: the name of a key; null without one")
    at = graphene.DateTime(required=True)


class TaskActionEdge(graphene.ObjectType):
    """An action and its place."""

    cursor = graphene.String(required=True)
    node = graphene.Field(TaskAction, required=True)


class TaskActionConnection(graphene.ObjectType):
    """A page of actions, newest first."""

    edges = graphene.List(graphene.NonNull(TaskActionEdge), required=True)
    nodes = graphene.List(graphene.NonNull(TaskAction), required=True)
    page_info = graphene.Field(PageInfo, required=True)
