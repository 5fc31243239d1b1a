"""Declares the GraphQL types of what callers did to tasks; decides nothing."""

import graphene

from afterwrite.graphql.pages import connection_of
from afterwrite.tasks.actions import ActionKind

ActionKindEnum = graphene.Enum.from_enum(ActionKind, name="TaskActionKind")


class TaskAction(graphene.ObjectType):
    """What a caller did to a task since it was accepted, to a type, or to what ended before a time."""

    id = graphene.ID(required=True)
    task_id = graphene.ID(description="Null: it was done to a type")
    type = graphene.String(description="The type of the task; null: it was done to tasks of every type")
    action = ActionKindEnum(required=True)
    by = graphene.String(description="Who did it: the name of a key; null without one")
    at = graphene.DateTime(required=True)


TaskActionConnection = connection_of(TaskAction, "TaskAction", "A page of actions, newest first.")
