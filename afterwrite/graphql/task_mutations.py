"""GraphQL mutations of tasks; each returns the accepted or current task."""

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
    """The arguments that every task takes besides its payload; see ``requests.accept``."""
    return {
        "priority": graphene.Int(description="-1000 to 1000, highest first; default 0"),
        "run_at": graphene.DateTime(description="Earliest start, with a time zone"),
        "max_attempts": graphene.Int(description="1 to 100; default: that of the type"),
        "correlation_id": graphene.String(description="A name of your choice, also sent in callbacks"),
        "callback_url": graphene.String(description="Receives the outcome as a POST when the task ends"),
        "idempotency_key": graphene.String(
            description="Makes a retry safe: the same key and arguments give the same task"
        ),
    }


class PrunedTasks(graphene.ObjectType):
    """The result of pruneTasks."""

    pruned = graphene.Int(required=True, description="Number of deleted tasks")


class Mutation(graphene.ObjectType):
    """Mutations of tasks: a task is stored before the response and runs afterwards."""

    create_task = graphene.Field(
        Task,
        type=graphene.String(required=True, description="taskTypes lists them"),
        payload=JSON(required=True, description="The input of the task"),
        **_options(),
        description="Create a task of any type",
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
            "customer_id": graphene.String(required=True, description="cus_…, from the result of a customer task"),
            "payment_method": graphene.String(description="pm_…; default: Stripe's test card"),
            "description": graphene.String(),
            **_options(),
        },
        description="Take a card payment at Stripe",
    )
    create_stripe_refund_task = graphene.Field(
        Task,
        payment_intent_id=graphene.String(required=True, description="pi_…, from the result of a payment task"),
        amount=BigInt(description="In minor units; default: the whole amount"),
        **_options(),
        description="Refund a payment at Stripe",
    )
    create_entry = graphene.Field(
        Entry,
        title=graphene.String(required=True),
        **_options(),
        description="Create an entry; it goes through its stages after the response",
    )
    create_process = graphene.Field(
        Task,
        payload=JSON(required=True, description='{products: [{title: "Lamp", price: 12.5}]}'),
        callback_url=graphene.String(),
        idempotency_key=graphene.String(),
        description="Submit a job that checks, enriches and summarises products; process(correlationId) finds it",
    )
    cancel_task = graphene.Field(
        Task,
        id=graphene.ID(required=True),
        description="Cancel a task: a waiting one at once, a running one through its worker",
    )
    retry_task = graphene.Field(
        Task, id=graphene.ID(required=True), description="Queue a FAILED or CANCELLED task again, with all its attempts"
    )
    pause_task_type = graphene.Field(
        TaskType,
        type=graphene.String(required=True),
        description="Start no more tasks of a type; running ones continue",
    )
    resume_task_type = graphene.Field(
        TaskType, type=graphene.String(required=True), description="Start tasks of a type again"
    )
    prune_tasks = graphene.Field(
        PrunedTasks,
        ended_before=graphene.DateTime(required=True, description="With a time zone; at least IDEMPOTENCY_HOURS ago"),
        description="Delete the tasks that ended before a time, with their actions",
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
    def resolve_create_stripe_customer_task(_root: None, info: graphene.ResolveInfo, **arguments: Any) -> StoredTask:
        return _accept(info.context, CREATE_CUSTOMER, arguments)

    @staticmethod
    @answering
    def resolve_create_stripe_payment_task(_root: None, info: graphene.ResolveInfo, **arguments: Any) -> StoredTask:
        return _accept(info.context, CREATE_PAYMENT, arguments)

    @staticmethod
    @answering
    def resolve_create_stripe_refund_task(_root: None, info: graphene.ResolveInfo, **arguments: Any) -> StoredTask:
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
        return requests.create_job(context.tasks, payload, callback_url, idempotency_key, context.by)

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
    def resolve_prune_tasks(_root: None, info: graphene.ResolveInfo, ended_before: datetime) -> dict[str, int]:
        context: Context = info.context
        return {"pruned": requests.prune(context.tasks, ended_before, context.by)}


def _accept(context: Context, task_type: str, arguments: dict[str, Any]) -> StoredTask:
    return requests.accept_arguments(context.tasks, task_type, arguments, context.by)
