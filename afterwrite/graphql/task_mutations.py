"""GraphQL mutations of tasks; each returns the accepted or current task."""

from functools import partial
from typing import Any

import graphene

from afterwrite.graphql.fields import field
from afterwrite.graphql.scalars import JSON, BigInt
from afterwrite.graphql.task_types import Entry, Task, TaskType
from afterwrite.reads.connections import parse_id
from afterwrite.service.context import Context
from afterwrite.tasks import requests
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


def _accept(task_type: str, context: Context, **arguments: Any) -> StoredTask:
    return requests.accept_arguments(context.tasks, task_type, arguments, context.by)


def _create_task(context: Context, type: str, payload: Any, **options: Any) -> StoredTask:  # noqa: A002
    return requests.accept(context.tasks, type, payload, options, context.by)


def _create_process(
    context: Context, payload: Any, callback_url: str | None = None, idempotency_key: str | None = None
) -> StoredTask:
    return requests.create_job(context.tasks, payload, callback_url, idempotency_key, context.by)


def _cancel_task(context: Context, id: str) -> StoredTask:  # noqa: A002
    return context.tasks.cancel(parse_id("id", id), context.by)


def _retry_task(context: Context, id: str) -> StoredTask:  # noqa: A002
    return context.tasks.retry(parse_id("id", id), context.by)


def _pause(context: Context, type: str) -> TypeReport:  # noqa: A002
    return context.tasks.pause(type, context.by)


def _resume(context: Context, type: str) -> TypeReport:  # noqa: A002
    return context.tasks.resume(type, context.by)


class PrunedTasks(graphene.ObjectType):
    """The result of pruneTasks."""

    pruned = graphene.Int(required=True, description="Number of deleted tasks")


class Mutation(graphene.ObjectType):
    """Mutations of tasks: a task is stored before the response and runs afterwards."""

    create_task = field(
        Task,
        _create_task,
        "Create a task of any type",
        type=graphene.String(required=True, description="taskTypes lists them"),
        payload=JSON(required=True, description="The input of the task"),
        **_options(),
    )
    create_stripe_customer_task = field(
        Task,
        partial(_accept, CREATE_CUSTOMER),
        "Create a customer at Stripe",
        email=graphene.String(required=True),
        name=graphene.String(required=True),
        **_options(),
    )
    create_stripe_payment_task = field(
        Task,
        partial(_accept, CREATE_PAYMENT),
        "Take a card payment at Stripe",
        amount=BigInt(required=True, description="In minor units, such as cents"),
        currency=graphene.String(required=True, description="Three letters, such as eur"),
        customer_id=graphene.String(required=True, description="cus_…, from the result of a customer task"),
        payment_method=graphene.String(description="pm_…; default: Stripe's test card"),
        description=graphene.String(),
        **_options(),
    )
    create_stripe_refund_task = field(
        Task,
        partial(_accept, REFUND_PAYMENT),
        "Refund a payment at Stripe",
        payment_intent_id=graphene.String(required=True, description="pi_…, from the result of a payment task"),
        amount=BigInt(description="In minor units; default: the whole amount"),
        **_options(),
    )
    create_entry = field(
        Entry,
        lambda context, **arguments: entry_of(_accept(ENTRY, context, **arguments)),
        "Create an entry; it goes through its stages after the response",
        title=graphene.String(required=True),
        **_options(),
    )
    create_process = field(
        Task,
        _create_process,
        "Submit a job that checks, enriches and summarises products; process(correlationId) finds it",
        payload=JSON(required=True, description='{products: [{title: "Lamp", price: 12.5}]}'),
        callback_url=graphene.String(),
        idempotency_key=graphene.String(),
    )
    cancel_task = field(
        Task,
        _cancel_task,
        "Cancel a task: a waiting one at once, a running one through its worker",
        id=graphene.ID(required=True),
    )
    retry_task = field(
        Task,
        _retry_task,
        "Queue a FAILED or CANCELLED task again, with all its attempts",
        id=graphene.ID(required=True),
    )
    pause_task_type = field(
        TaskType, _pause, "Start no more tasks of a type; running ones continue", type=graphene.String(required=True)
    )
    resume_task_type = field(TaskType, _resume, "Start tasks of a type again", type=graphene.String(required=True))
    prune_tasks = field(
        PrunedTasks,
        lambda context, ended_before: {"pruned": requests.prune(context.tasks, ended_before, context.by)},
        "Delete the tasks that ended before a time, with their actions",
        ended_before=graphene.DateTime(required=True, description="With a time zone; at least IDEMPOTENCY_HOURS ago"),
    )
