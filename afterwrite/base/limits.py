"""The limits of writes and tasks, taken from the settings; times in seconds."""

from dataclasses import dataclass

from afterwrite.base.settings import Settings


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """Limits of the write queue and its journal."""

    max_writes: int
    max_bytes: int
    batch_size: int
    max_waiters: int
    stop_seconds: float
    idempotency_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "WriteLimits":
        """The limits from the settings."""
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
    """Limits of the tasks of one process; ``code_threads`` run blocking worker code."""

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
        """The limits from the settings."""
        return cls(
            max_waiting=settings.tasks_max,
            payload_max_bytes=settings.task_payload_max_bytes,
            lock_seconds=settings.task_lock_seconds,
            stop_seconds=settings.task_stop_seconds,
            # A key lives as long as its task: a retry must not count as a new request.
            retention_seconds=max(settings.task_retention_days * 24, settings.idempotency_hours) * 3600,
            idempotency_seconds=settings.idempotency_hours * 3600,
            code_threads=settings.task_threads,
            private_callbacks=settings.webhook_allow_private == "on",
        )
