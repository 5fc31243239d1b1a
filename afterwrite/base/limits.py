"""The limits of writes and of tasks, as the settings give them; times in seconds."""

from dataclasses import dataclass

from afterwrite.base.settings import Settings


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """Limits of the queue of writes and of its journal."""

    max_writes: int
    max_bytes: int
    batch_size: int
    max_waiters: int
    stop_seconds: float
    idempotency_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "WriteLimits":
        """The limits that the settings give."""
        return cls(
            max_writes=settings.queue_max_writes,
            max_bytes=settings.queue_max_bytes,
            batch_size=settings.batch_size,
            max_waiters=settings.max_waiters,
            stop_seconds=settings.stop_seconds,
            idempotency_seconds=settings.idempotency_hours * 3600,
        )


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of the tasks of one process; ``code_threads`` run the blocking code of workers."""

    max_waiting: int
    payload_max_bytes: int
    lock_seconds: float
    stop_seconds: float
    retention_seconds: float
    idempotency_seconds: float
    code_threads: int
    private_callbacks: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "TaskLimits":
        """The limits that the settings give."""
        return cls(
            max_waiting=settings.tasks_max,
            payload_max_bytes=settings.task_payload_max_bytes,
            lock_seconds=settings.task_lock_seconds,
            stop_seconds=settings.task_stop_seconds,
            # A key is known as long as its task: a repeat must not be taken for a new request.
            retention_seconds=max(settings.task_retention_days * 24, settings.idempotency_hours) * 3600,
            idempotency_seconds=settings.idempotency_hours * 3600,
            code_threads=settings.task_threads,
            private_callbacks=settings.webhook_allow_private == "on",
        )
