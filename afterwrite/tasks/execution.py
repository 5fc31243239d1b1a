"""Runs a claimed task with its worker and turns the result into an outcome."""

import asyncio
import logging
from typing import Any

from afterwrite.base.text import shorten, storable
from afterwrite.base.tracing import working_on
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import (
    LONGEST_DELAY_SECONDS,
    Cancelled,
    Completed,
    Failed,
    Outcome,
    StageDone,
    Stopped,
    Task,
    TaskError,
)
from afterwrite.tasks.worker import BaseWorker, CancelAsked, LockLost, TaskContext, TaskFailed, encode_result

_log = logging.getLogger("afterwrite.tasks")

_MESSAGE_MAX = 2_000
_CODE_MAX = 100
_LOST_AGAIN_SECONDS = 6.0


async def execute(registry: Registry, task: Task, context: TaskContext, result_max_bytes: int) -> Outcome | None:
    """Run a task with its worker; return the outcome to record, or None if the lock is lost.

    Every exception of the worker becomes an outcome, so none ends the loop. Log lines written during the run carry the
    task's correlation id and trace.
    """
    with working_on(task.correlation_id, task.traceparent):
        policy = registry.policy(task.type)
        try:
            worker = registry.worker_for(task)
            if worker is None:
                message = f"No worker of this process runs tasks of the type {task.type!r}"
                return Failed(TaskError("NO_WORKER", message, final=True), None)
            return _done(await _in_time(worker, task, context), result_max_bytes)
        except LockLost:
            return None
        except CancelAsked:
            return Cancelled()
        except asyncio.CancelledError as error:
            return None if context.lock_is_lost else _cancelled(task, policy, error)
        except TaskFailed as error:
            reported = TaskError(error.code, str(error), error.final)
            return failure(task, reported, policy, error.retry_after_seconds)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - a worker may raise anything
            return _worker_error(task, policy, error)


async def _in_time(worker: BaseWorker, task: Task, context: TaskContext) -> Any:
    try:
        async with asyncio.timeout(worker.time_limit_seconds) as limit:
            return await worker.execute_task(task, context)
    except TimeoutError as error:
        if not limit.expired():  # raised by the worker itself
            raise
        message = f"The attempt took longer than {worker.time_limit_seconds:g} s, its type's limit"
        raise TaskFailed("TIME_LIMIT", message) from error


def _cancelled(task: Task, policy: RetryPolicy, error: asyncio.CancelledError) -> Failed | Stopped:
    """Tell a stop of this run from the cancellation of something the worker awaited."""
    current = asyncio.current_task()
    if current is not None and current.cancelling():
        return Stopped()
    return _worker_error(task, policy, error)


def _worker_error(task: Task, policy: RetryPolicy, error: BaseException) -> Failed:
    _log.error("task %d (%s) attempt %d failed", task.id, task.type, task.attempt, exc_info=error)
    return failure(task, TaskError("WORKER_ERROR", f"{type(error).__name__}: {error}"), policy)


def failure(task: Task, error: TaskError, policy: RetryPolicy, retry_after_seconds: float | None = None) -> Failed:
    """The outcome of a failed attempt: a retry, unless the error is final or it was the last attempt."""
    reported = TaskError(
        shorten(storable(error.code), _CODE_MAX), shorten(storable(error.message), _MESSAGE_MAX), error.final
    )
    if error.final or task.attempt >= task.max_attempts:
        return Failed(reported, None)
    delay = policy.delay_seconds(task.attempt) if retry_after_seconds is None else retry_after_seconds
    return Failed(reported, min(max(0.0, delay), LONGEST_DELAY_SECONDS))


def unrecordable(task: Task, error: Exception) -> Failed:
    """The outcome of a task whose result the database rejects."""
    _log.error("task %d (%s): the database rejects the outcome", task.id, task.type, exc_info=error)
    return _unusable(
        "OUTCOME_UNUSABLE", "The work was done, but its outcome cannot be recorded: the log has the reason"
    )


def worker_lost(task: Task, policy: RetryPolicy) -> Outcome:
    """The outcome of a task whose lock has expired: its worker died or its process was suspended."""
    if task.cancel_asked:
        return Cancelled()
    # A task that was lost twice may be what crashes its process: let the others run first.
    pause = None if task.attempt < 2 else max(_LOST_AGAIN_SECONDS, policy.delay_seconds(task.attempt))
    message = f"The worker {task.locked_by} stopped responding in attempt {task.attempt} of {task.max_attempts}"
    return failure(task, TaskError("WORKER_LOST", message), policy, pause)


def _done(result: Any, max_bytes: int) -> Outcome:
    if isinstance(result, StageDone):
        return _checked(result, result.result_json, max_bytes)
    try:
        text = encode_result(result)
    except (TypeError, ValueError, RecursionError) as error:
        return _unusable("RESULT_NOT_JSON", f"The work was done, but its result is not a JSON value: {error}")
    return _checked(Completed(text), text, max_bytes)


def _checked(outcome: Outcome, text: str | None, max_bytes: int) -> Outcome:
    size = len(text or "")  # ASCII JSON: one character is one byte
    if size <= max_bytes:
        return outcome
    return _unusable(
        "RESULT_TOO_LARGE", f"The work was done, but its result has {size:,} bytes: the limit is {max_bytes:,}"
    )


def _unusable(code: str, message: str) -> Failed:
    # Not final, although it is not retried automatically: the work was done, so a retry must reuse its idempotency
    # keys.
    return Failed(TaskError(code, shorten(storable(message), _MESSAGE_MAX)), None)
