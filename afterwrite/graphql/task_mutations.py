"""Declares the GraphQL mutations of tasks; each answers the task as it was accepted, or as it is now."""

from datetime import datetime
from typing import Any

import graphene

from afterwrite.graphql.scalars import JSON, BigInt
from afterwrite.graphql.task_types import Entry, Task, TaskType
from afterwrite.reads.connections import parse_id
from afterwrite.service.context import Context, answering
from afterwrite.tasks import requests
from afterwrite.tasks.entries import Entry as StoredEntry
from afterwrite.tasks.entries import entry_of
from afterwrite.tasks.listing import TypeReport
from afterwrite.tasks.task import Task as StoredTask
from afterwrite.tasks.workers.entry import ENTRY
from afterwrite.tasks.workers.stripe_payments import CREATE_CUSTOMER, CREATE_PAYMENT, REFUND_PAYMENT


def _options() -> dict[str, Any]:
    """What every task takes beside its payload; see ``requests.accept``."""
    return {
        "priority": graphene.Int(description="-1000 to 1000, the greatest goes first; 0 if left out"),
        "run_at": graphene.DateTime(description="Not before this time, with its time zone"),
        "max_attempts": graphene.Int(description="1 to 100; what the type says if left out"),
        "correlation_id": graphene.String(description="A name of yours, told in callbacks too"),
        "callback_url": graphene.String(description="The outcome is posted there when the task ends"),
        "idempotency_key": graphene.String(
            description="The same key and arguments give the same task, however often they are sent"
        ),
    }


class PrunedTasks(graphene.ObjectType):
    """What pruneTasks has deleted."""

    pruned = graphene.Int(required=True, description="How many tasks")


class Mutation(graphene.ObjectType):
    """Tasks are stored when they are answered, and run afterwards."""

    create_task = graphene.Field(
        Task,
        type=graphene.String(required=True, description="taskTypes lists them"),
        payload=JSON(required=True, description="What the task works on"),
        **_options(),
        description="A task of any type",
    )
    create_stripe_customer_task = graphene.Field(
        Task,
        email=graphene.String(required=True),
        name=graphene.String(required=True),
        **_options(),
        description="Create a customer at Stripe",
    )
    create_stripe_payment_task = graphene.Field(
        Task,
        args={
            "amount": BigInt(required=True, description="In minor units, such as cents"),
            "currency": graphene.String(required=True, description="Three letters, such as eur"),
            "customer_id": graphene.String(
                required=True, description="cus_…, from the result of a customer's task"
            ),
            "payment_method": graphene.String(description="pm_…; Stripe's test card if left out"),
            "description": graphene.String(),
            **_options(),
        },
        description="Take a card payment at Stripe",
    )
    create_stripe_refund_task = graphene.Field(
        Task,
        payment_intent_id=graphene.String(
            required=True, description="pi_…, from the result of a payment's task"
        ),
        amount=BigInt(description="In minor units; all of it if left out"),
        **_options(),
        description="Refund a payment at Stripe",
    )
    create_entry = graphene.Field(
        Entry,
        title=graphene.String(required=True),
        **_options(),
        description="An entry, which goes by its stages after the answer",
    )
    create_process = graphene.Field(
        Task,
        payload=JSON(required=True, description='{products: [{title: "Lamp", price: 12.5}]}'),
        callback_url=graphene.String(),
        idempotency_key=graphene.String(),
        description="Check, enrich and sum up a list of products; process(correlationId) finds it",
    )
    cancel_task = graphene.Field(
        Task,
        id=graphene.ID(required=True),
        description="End a task: at once while it waits; while it runs, its worker is told",
    )
    retry_task = graphene.Field(
        Task,
        id=graphene.ID(required=True),
        description="Put a FAILED or CANCELLED task in line again, with all its attempts",
    )
    pause_task_type = graphene.Field(
        TaskType,
        type=graphene.String(required=True),
        description="Start no more tasks of a type; those that run go on",
    )
    resume_task_type = graphene.Field(
        TaskType, type=graphene.String(required=True), description="Start tasks of a type again"
    )
    prune_tasks = graphene.Field(
        PrunedTasks,
        ended_before=graphene.DateTime(
            required=True, description="With its time zone; IDEMPOTENCY_HOURS ago at the latest"
        ),
        description="Delete the tasks that ended before a time, with what was done to them",
    )

    @staticmethod
    @answering
    def resolve_create_task(
        _root: None,
        info: graphene.ResolveInfo,
        type: str,  # noqa: A002
        payload: Any,
        **options: Any,
    ) -> StoredTask:
        context: Context = info.context
        return requests.accept(context.tasks, type, payload, options, context.by)

    @staticmethod
    @answering
    def resolve_create_stripe_customer_task(
        _root: None, info: graphene.ResolveInfo, **arguments: Any
    ) -> StoredTask:
        return _accept(info.context, CREATE_CUSTOMER, arguments)

    @staticmethod
    @answering
    def resolve_create_stripe_payment_task(
        _root: None, info: graphene.ResolveInfo, **arguments: Any
    ) -> StoredTask:
        return _accept(info.context, CREATE_PAYMENT, arguments)

    @staticmethod
    @answering
    def resolve_create_stripe_refund_task(
        _root: None, info: graphene.ResolveInfo, **arguments: Any
    ) -> StoredTask:
        return _accept(info.context, REFUND_PAYMENT, arguments)

    @staticmethod
    @answering
    def resolve_create_entry(_root: None, info: graphene.ResolveInfo, **arguments: Any) -> StoredEntry:
        return entry_of(_accept(info.context, ENTRY, arguments))

    @staticmethod
    @answering
    def resolve_create_process(
        _root: None,
        info: graphene.ResolveInfo,
        payload: Any,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> StoredTask:
        context: Context = info.context
        return requests.create_job(
            context.tasks,
            payload,
            callback_url,
            idempotency_key,
            context.by,
        )

    @staticmethod
    @answering
    def resolve_cancel_task(_root: None, info: graphene.ResolveInfo, id: str) -> StoredTask:  # noqa: A002
        context: Context = info.context
        return context.tasks.cancel(parse_id("id", id), context.by)

    @staticmethod
    @answering
    def resolve_retry_task(_root: None, info: graphene.ResolveInfo, id: str) -> StoredTask:  # noqa: A002
        context: Context = info.context
        return context.tasks.retry(parse_id("id", id), context.by)

    @staticmethod
    @answering
    def resolve_pause_task_type(_root: None, info: graphene.ResolveInfo, type: str) -> TypeReport:  # noqa: A002
        context: Context = info.context
        return context.tasks.pause(type, context.by)

    @staticmethod
    @answering
    def resolve_resume_task_type(_root: None, info: graphene.ResolveInfo, type: str) -> TypeReport:  # noqa: A002
        context: Context = info.context
        return context.tasks.resume(type, context.by)

    @staticmethod
    @answering
    def resolve_prune_tasks(
        _root: None, info: graphene.ResolveInfo, ended_before: datetime
    ) -> dict[str, int]:
        context: Context = info.context
        return {"pruned": requests.prune(context.tasks, ended_before, context.by)}


def _accept(context: Context, task_type: str, arguments: dict[str, Any]) -> StoredTask:
    return requests.accept_arguments(context.tasks, task_type, arguments, context.by)
