"""GraphQL types of the audit log of tasks."""

import graphene

from afterwrite.graphql.pages import connection_of
from afterwrite.tasks.actions import ActionKind

ActionKindEnum = graphene.Enum.from_enum(ActionKind, name="TaskActionKind")


class TaskAction(graphene.ObjectType):
    """An action of a caller on an accepted task, on a task type, or on all tasks that ended before a time."""

    id = graphene.ID(required=True)
    task_id = graphene.ID(description="Null for an action on a type or on many tasks")
    type = graphene.String(description="The task type; null for an action on tasks of every type")
    action = ActionKindEnum(required=True)
    by = graphene.String(description="The name of the caller's key; null without one")
    at = graphene.DateTime(required=True)


TaskActionConnection = connection_of(TaskAction, "TaskAction", "A page of actions, newest first.")
