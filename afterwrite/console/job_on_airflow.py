"""The steps and the Airflow run on the page of a job that Airflow runs.

Imported only where Airflow runs jobs: elsewhere the clients of the stack need not be installed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import NamedTuple

from afterwrite.base.times import from_microseconds
from afterwrite.console.job_steps import AHEAD, FAILED, NEXT, REACHED, STOPPED, Step
from afterwrite.jobs.airflow import FAILURE, QUEUED, Run, TaskState, run_url
from afterwrite.jobs.broker import RABBITMQ
from afterwrite.jobs.overview import SeenRun, StackOverview
from afterwrite.service.service import Service
from afterwrite.storage.postgres.job_runs import run_ids_of
from afterwrite.tasks.task import Task, TaskStatus
from afterwrite.tasks.workers.process_on_airflow import PROGRESS, RUNNING, is_run_of
from afterwrite.tasks.workers.process_products import COMPLETED

_ACCEPTED, _PUBLISHED, _RUNNING, _RESULT, _NOTIFIED = range(5)
_NAMES = ("ACCEPTED", "PUBLISHED", "RUNNING", "RESULT", "NOTIFIED")
_NEVER_RAN = "RUN_REFUSED"
_UNEVEN = {QUEUED: "waits in Airflow", FAILURE: "the run has failed"}
_KNOWN_RUNS = 1_000


class OnAirflow(NamedTuple):
    """The known state of a job that Airflow runs.

    ``run_id`` and ``seen`` are None until its run is requested; ``queue_is_away``: RabbitMQ is unavailable.
    """

    run_id: str | None
    seen: SeenRun | None
    queue_is_away: bool
    url: str | None

    @property
    def run(self) -> Run | None:
        """The job's run, if Airflow has it."""
        return None if self.seen is None else self.seen.run

    @property
    def tasks(self) -> Sequence[TaskState]:
        """The states of the tasks of the run."""
        return [] if self.seen is None else self.seen.tasks

    @property
    def trouble(self) -> str | None:
        """Why Airflow is unavailable."""
        return None if self.seen is None else self.seen.trouble


class JobsOnAirflow:
    """Looks up the Airflow runs of jobs; thread-safe."""

    def __init__(self, service: Service, stack: StackOverview) -> None:
        self._settings, self._stack = service.settings, stack
        # Only for completed tasks, whose runs do not change.
        self._run_ids = lru_cache(_KNOWN_RUNS)(partial(run_ids_of, service.stores.tasks.reader))

    def find(self, task: Task) -> OnAirflow | None:
        """The current state of a job; None if one of our workers ran it. Raises StoreError."""
        run_id = self._run_id(task)
        if run_id is None and task.stage not in PROGRESS:
            return None
        queue_is_away = self._stack.statuses()[RABBITMQ]["status"] != "ok"
        if run_id is None:
            return OnAirflow(None, None, queue_is_away, None)
        return OnAirflow(run_id, self._stack.run(run_id), queue_is_away, run_url(self._settings, run_id))

    def _run_id(self, task: Task) -> str | None:
        """The requested run. Other tasks have its id in ``result``, where a completed one has its report."""
        if task.status != TaskStatus.COMPLETED:
            left = _left(task)
            return str(left["runId"]) if left and is_run_of(task, str(left["runId"])) else None
        return next((one for one in self._run_ids(task.id) if is_run_of(task, one)), None)


def as_seen(task: Task, on_airflow: OnAirflow) -> Task:
    """The task at the stage that Airflow reports, which its row gets later or never."""
    if on_airflow.run is None or task.stage not in PROGRESS:
        return task
    return task._replace(stage=RUNNING, progress=max(task.progress, PROGRESS[RUNNING]))


def airflow_steps(task: Task, on_airflow: OnAirflow, delivery: Task | None) -> list[Step]:
    """The steps of a job; ``delivery`` is the task that delivers its outcome, if it exists."""
    reached = [
        Step(_NAMES[_ACCEPTED], REACHED, at=task.created_at),
        Step(_NAMES[_PUBLISHED], REACHED, _times_published(task), _published_at(task)),
        Step(_NAMES[_RUNNING], REACHED, _run_note(on_airflow)),
        Step(_NAMES[_RESULT], REACHED, _tally(task), task.finished_at),
    ]
    last = _last_reached(task, on_airflow)
    steps = reached[: last + 1]
    if last < _RESULT:
        steps.append(_step_after(last, task, on_airflow))
    steps += [Step(name, AHEAD) for name in _NAMES[len(steps) : _NOTIFIED]]
    return steps if task.callback_url is None else [*steps, _notified(task, delivery)]


def _last_reached(task: Task, on_airflow: OnAirflow) -> int:
    if task.status == TaskStatus.COMPLETED:
        return _RESULT
    if on_airflow.run_id is None:
        return _ACCEPTED
    # A final error comes from the run, unless Airflow refused the run.
    ended_by_run = task.status == TaskStatus.FAILED and task.error_is_final and task.error_code != _NEVER_RAN
    has_run = on_airflow.run is not None or task.stage in (RUNNING, COMPLETED) or ended_by_run
    return _RUNNING if has_run else _PUBLISHED


def _step_after(last: int, task: Task, on_airflow: OnAirflow) -> Step:
    """The next step, or the one at which the job failed or was cancelled."""
    name = _NAMES[last + 1]
    match task.status:
        case TaskStatus.FAILED:
            return Step(name, FAILED, f"failed: {task.error_code}", task.finished_at)
        case TaskStatus.CANCELLED:
            return Step(name, STOPPED, "cancelled", task.finished_at)
    return Step(name, NEXT, _waits_for(last + 1, on_airflow))


def _waits_for(step: int, on_airflow: OnAirflow) -> str:
    if step == _PUBLISHED:
        return "waits for RabbitMQ" if on_airflow.queue_is_away else "waits for its turn"
    if step == _RUNNING:
        return "waits for Airflow"
    run = on_airflow.run
    return "is on its way" if run is not None and run.has_ended else "comes at the end of the run"


def _notified(task: Task, delivery: Task | None) -> Step:
    name = _NAMES[_NOTIFIED]
    if not task.has_ended:
        return Step(name, AHEAD)
    if delivery is None:
        return Step(name, AHEAD, "its delivery is not kept any more")
    match delivery.status:
        case TaskStatus.COMPLETED:
            return Step(name, REACHED, "the receiver has taken it", delivery.finished_at)
        case TaskStatus.FAILED:
            return Step(name, FAILED, f"failed: {delivery.error_code}", delivery.finished_at)
        case TaskStatus.CANCELLED:
            return Step(name, STOPPED, "cancelled", delivery.finished_at)
    if delivery.error_code is not None:
        return Step(name, NEXT, f"tried {delivery.attempt} of {delivery.max_attempts} times")
    return Step(name, NEXT, "is being delivered")


def _left(task: Task) -> Mapping[str, object] | None:
    """The data about its run in the result of a task that is not completed."""
    left = task.result
    return left if isinstance(left, dict) and "runId" in left else None


def _published_at(task: Task) -> datetime | None:
    seconds = (_left(task) or {}).get("publishedAt")
    return from_microseconds(int(seconds * 1_000_000)) if isinstance(seconds, int | float) else None


def _times_published(task: Task) -> str:
    times = (_left(task) or {}).get("timesPublished")
    return f"{times} times" if isinstance(times, int) and times > 1 else ""


def _run_note(on_airflow: OnAirflow) -> str:
    """A note on a run that waits or has failed."""
    return _UNEVEN.get("" if on_airflow.run is None else on_airflow.run.state, "")


def _tally(task: Task) -> str:
    report = task.result
    if not isinstance(report, dict) or "accepted" not in report:
        return ""
    return f"{report['accepted']:,} accepted, {report['refused']:,} refused"
