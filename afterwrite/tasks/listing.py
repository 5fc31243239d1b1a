"""Task queries: single tasks, pages, counts and per-type statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, func, or_, select

from afterwrite.base.text import folded
from afterwrite.storage.columns import is_text, like_pattern
from afterwrite.tasks.actions import Pause, TaskAction
from afterwrite.tasks.statements import COLUMNS, PENDING, actions, paused_types, tasks
from afterwrite.tasks.task import Task, TaskStatus

_DURATIONS = 1_000  # how many of the newest completed tasks of a type
_ESCAPE = "\\"


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """A filter of tasks; empty ``statuses`` match every status.

    ``search`` matches a substring, ignoring case, of the worker's search text, the correlation id and, unless ``type``
    is given, the type. ``by`` is the name of the creator.
    """

    statuses: frozenset[TaskStatus] = frozenset()
    type: str | None = None
    stage: str | None = None
    search: str = ""
    by: str | None = None


@dataclass(frozen=True, slots=True)
class TypeReport:
    """Statistics of a task type; durations run from first claim to end, over the newest 1,000 completed tasks."""

    type: str
    counts: Mapping[TaskStatus, int]
    pause: Pause | None
    concurrency: int
    running: int
    duration_p50_ms: float | None
    duration_p95_ms: float | None

    @property
    def paused(self) -> bool:
        return self.pause is not None

    @property
    def paused_by(self) -> str | None:
        return None if self.pause is None else self.pause.by

    @property
    def paused_at(self) -> datetime | None:
        return None if self.pause is None else self.pause.at


class TaskListing:
    """The queries over one engine; safe to call from any thread. Every method raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, task_id: int) -> Task | None:
        return next(iter(self._tasks(_some.where(tasks.c.id == task_id))), None)

    def find_many(self, task_ids: Sequence[int]) -> list[Task]:
        """The tasks with these ids that exist, oldest first."""
        return self._tasks(_some.where(tasks.c.id.in_(task_ids)).order_by(tasks.c.id))

    def find_correlated(self, correlation_id: str, task_type: str | None = None) -> Task | None:
        """The newest task (of a type) with this correlation id, or None."""
        of_it = _some.where(tasks.c.correlation_id.is_not(None), is_text(tasks.c.correlation_id, correlation_id))
        of_it = of_it if task_type is None else of_it.where(tasks.c.type == task_type)
        return next(iter(self._tasks(of_it.order_by(tasks.c.id.desc()).limit(1))), None)

    def pulse(self) -> tuple[int | None, ...]:
        """A fingerprint that changes with almost every change of a task; each part is read off the end of an index."""
        newest = (
            select(func.max(tasks.c.id)),
            select(func.max(tasks.c.finished_at_us)).where(tasks.c.finished_at_us.is_not(None)),
            select(func.max(tasks.c.locked_at_us)).where(tasks.c.locked_by.is_not(None)),
            select(func.max(actions.c.id)),
        )
        [pulse] = self._rows(select(*(part.scalar_subquery() for part in newest)))
        return tuple(pulse)

    def changed_since(self, since_us: int, limit: int) -> list[Task]:
        """The tasks created or ended since then, and the running ones; up to ``limit`` of each."""
        ended = _some.where(tasks.c.finished_at_us.is_not(None), tasks.c.finished_at_us >= since_us)
        running = _some.where(tasks.c.locked_by.is_not(None))
        made = _some.where(PENDING, tasks.c.updated_at_us >= since_us).order_by(tasks.c.id.desc())
        parts = (part.limit(limit) for part in (ended, running, made))
        return list({task.id: task for part in parts for task in self._tasks(part)}.values())

    def newest(self, wanted: TaskFilter, before: int | None, limit: int) -> list[Task]:
        """Up to ``limit`` tasks with an id below ``before``, newest first."""
        page = _some.where(*_conditions(wanted)).order_by(tasks.c.id.desc()).limit(limit)
        return self._tasks(page if before is None else page.where(tasks.c.id < before))

    def page(self, wanted: TaskFilter, limit: int, offset: int) -> list[Task]:
        """Up to ``limit`` tasks after the first ``offset``, newest first."""
        page = _some.where(*_conditions(wanted)).order_by(tasks.c.id.desc())
        return self._tasks(page.limit(limit).offset(offset))

    def count(self, wanted: TaskFilter) -> int:
        [(count,)] = self._rows(select(func.count()).select_from(tasks).where(*_conditions(wanted)))
        return int(count)

    def type_counts(self) -> dict[str, dict[TaskStatus, int]]:
        """The number of tasks per type and status."""
        by_both = select(tasks.c.type, tasks.c.status, func.count()).group_by(tasks.c.type, tasks.c.status)
        found: dict[str, dict[TaskStatus, int]] = {}
        for task_type, status, count in self._rows(by_both):
            found.setdefault(task_type, {})[TaskStatus(status)] = count
        return found

    def counts(self) -> dict[TaskStatus, int]:
        """The number of tasks per status."""
        found = dict(map(tuple, self._rows(select(tasks.c.status, func.count()).group_by(tasks.c.status))))
        return {status: found.get(status.value, 0) for status in TaskStatus}

    def pauses(self) -> dict[str, Pause]:
        """The paused types."""
        return {row.type: Pause._make(row) for row in self._rows(select(paused_types))}

    def actions(self, task_id: int) -> list[TaskAction]:
        """The actions on a task, oldest first."""
        return self._actions(select(actions).where(actions.c.task_id == task_id).order_by(actions.c.id))

    def newest_actions(self, by: str | None, before: int | None, limit: int) -> list[TaskAction]:
        """Up to ``limit`` actions (of one caller) with an id below ``before``, newest first."""
        page = select(actions).order_by(actions.c.id.desc()).limit(limit)
        page = page if by is None else page.where(actions.c.by == by)
        return self._actions(page if before is None else page.where(actions.c.id < before))

    def durations_ms(self, task_type: str) -> list[float]:
        """The durations of the newest completed tasks of a type, in ascending order."""
        lasting = (
            select(tasks.c.finished_at_us - tasks.c.started_at_us)
            .where(tasks.c.type == task_type, tasks.c.status == TaskStatus.COMPLETED.value)
            .where(tasks.c.started_at_us.is_not(None))
            .order_by(tasks.c.id.desc())
            .limit(_DURATIONS)
        )
        return sorted(microseconds / 1_000 for (microseconds,) in self._rows(lasting))

    def _actions(self, statement: Select[Any]) -> list[TaskAction]:
        return [TaskAction._make(row) for row in self._rows(statement)]

    def _tasks(self, statement: Select[Any]) -> list[Task]:
        return [Task._make(row) for row in self._rows(statement)]

    def _rows(self, statement: Select[Any]) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(statement).all()


_some = select(*COLUMNS)


def _conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(tasks.c.status.in_(sorted(status.value for status in wanted.statuses)))
    if wanted.type is not None:
        conditions.append(is_text(tasks.c.type, wanted.type))
    if wanted.stage is not None:
        conditions.append(tasks.c.stage == wanted.stage)
    if wanted.by is not None:
        conditions.append(tasks.c.created_by == wanted.by)
    if wanted.search:
        pattern = like_pattern(folded(wanted.search))
        texts = [tasks.c.search_text] if wanted.type is not None else [tasks.c.search_text, tasks.c.type]
        conditions.append(or_(*(text.like(pattern, escape=_ESCAPE) for text in texts)))
    return conditions
