"""The page of a process that Airflow runs: its steps in every state, and what it says while the stack is away."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from access_site import KEYS, SECRETS
from console_client import ConsoleClient
from many_processes import Fleet
from server_process import ServerProcess, free_port, wait_until
from worker_runs import now_us, waiting_task

from afterwrite.access.roles import Role
from afterwrite.console.job_on_airflow import OnAirflow, airflow_steps, as_seen
from afterwrite.jobs.airflow import Run
from afterwrite.jobs.overview import SeenRun
from afterwrite.tasks.task import (
    Completed,
    Failed,
    Task,
    TaskError,
    TaskStatus,
    asked_again,
    asked_to_cancel,
    concluded,
)
from afterwrite.tasks.workers.process_products import COMPLETED, PROCESS_PRODUCTS

RUN_ID = "one"
Said = list[tuple[str, str, str]]


def job(stage: str = "PUBLISHING", *, callback: bool = True) -> Task:
    """A process that waits at a stage."""
    left = {"runId": RUN_ID, "publishedAt": now_us() / 1_000_000, "timesPublished": 1, "looks": 0}
    return waiting_task(now_us())._replace(
        type=PROCESS_PRODUCTS,
        correlation_id=RUN_ID,
        stage=stage,
        result_json=None if stage == "PUBLISHING" else json.dumps(left),
        callback_url="https://shop.example/called" if callback else None,
    )


def completed(task: Task) -> Task:
    return concluded(task, Completed('{"accepted": 1200, "refused": 1}'), now_us(), COMPLETED)


def failed(task: Task, code: str = "NO_VALID_PRODUCT", *, final: bool = True) -> Task:
    return concluded(task, Failed(TaskError(code, "None is valid", final), None), now_us(), None)


def seen(state: str | None = None, trouble: str | None = None) -> SeenRun:
    """What Airflow says: the state of the run, that there is none, or nothing."""
    return SeenRun(None if state is None else Run(RUN_ID, state, {}), [], trouble)


def steps(task: Task, look: SeenRun | None, delivery: Task | None = None, *, away: bool = False) -> Said:
    """The steps as they look, with what is said of them."""
    run_id = None if look is None else RUN_ID
    found = airflow_steps(task, OnAirflow(run_id, look, away, None), delivery)
    return [(step.name, step.look, step.note) for step in found]


def looks(said: Said) -> list[str]:
    return [look for _, look, _ in said]


def test_the_steps_follow_a_job_from_accepted_to_its_result() -> None:
    names = ["ACCEPTED", "PUBLISHED", "RUNNING", "RESULT", "NOTIFIED"]
    accepted = steps(job(), None)
    assert [name for name, _, _ in accepted] == names
    assert looks(accepted) == ["reached", "next", "", "", ""]
    assert accepted[1][2] == "waits for its turn"
    assert steps(job(), None, away=True)[1][2] == "waits for RabbitMQ"

    published = steps(job("PUBLISHED"), seen())
    assert looks(published) == ["reached", "reached", "next", "", ""]
    assert published[2][2] == "waits for Airflow"

    for state, note in (("queued", "waits in Airflow"), ("running", "")):
        running = steps(job("PUBLISHED"), seen(state))  # the row learns of it later
        assert looks(running) == ["reached", "reached", "reached", "next", ""]
        assert running[2][2] == note
        assert running[3][2] == "comes at the end of the run"
    assert steps(job("RUNNING"), seen("success"))[3][2] == "is on its way"

    result = steps(completed(job("PUBLISHED")), seen("success"))
    assert looks(result)[:4] == ["reached"] * 4
    assert result[3][2] == "1,200 accepted, 1 refused"


@pytest.mark.parametrize(
    ("status", "look", "note"),
    [
        (TaskStatus.PENDING, "next", "is being delivered"),
        (TaskStatus.COMPLETED, "reached", "the receiver has taken it"),
        (TaskStatus.FAILED, "bad", "failed: WEBHOOK_GONE"),
        (TaskStatus.CANCELLED, "stopped", "cancelled"),
    ],
)
def test_the_last_step_is_what_became_of_the_delivery(status: TaskStatus, look: str, note: str) -> None:
    code = "WEBHOOK_GONE" if status == TaskStatus.FAILED else None
    delivery = waiting_task(now_us())._replace(status=status, error_code=code)
    for ended in (completed(job("RUNNING")), failed(job("RUNNING"))):
        assert steps(ended, seen("success"), delivery)[4] == ("NOTIFIED", look, note)


def test_a_delivery_that_is_tried_again_says_how_often_it_was_tried() -> None:
    tried = waiting_task(now_us())._replace(attempt=2, max_attempts=8, error_code="WEBHOOK_NOT_ACCEPTED")
    assert steps(completed(job("RUNNING")), seen("success"), tried)[4][1:] == ("next", "tried 2 of 8 times")
    assert steps(completed(job("RUNNING")), seen("success"))[4][1:] == ("", "its delivery is not kept any more")


def test_without_a_callback_nobody_is_notified() -> None:
    for task in (job("RUNNING", callback=False), completed(job("RUNNING", callback=False))):
        assert [name for name, _, _ in steps(task, seen("running"))][-1] == "RESULT"


@pytest.mark.parametrize(
    ("task", "look", "at"),
    [
        (failed(job(), "WORKER_LOST", final=False), None, 1),
        (failed(job("PUBLISHED"), "RUN_REFUSED"), seen(), 2),
        (failed(job("PUBLISHED")), seen("success"), 3),
        (failed(job("PUBLISHED")), seen(trouble="away"), 3),  # what it failed with comes from its run
        (failed(job("RUNNING"), "RUN_FAILED"), seen(), 3),  # Airflow does not keep it any more
    ],
)
def test_a_failure_is_shown_at_the_step_that_was_not_passed(task: Task, look: SeenRun | None, at: int) -> None:
    found = steps(task, look)
    assert looks(found)[:4] == ["reached"] * at + ["bad"] + [""] * (3 - at)
    assert found[at][2] == f"failed: {task.error_code}"


@pytest.mark.parametrize(
    ("task", "look", "at"),
    [
        (job(), None, 1),
        (job("PUBLISHED"), seen(), 2),
        (job("PUBLISHED"), seen("running"), 3),
        (job("RUNNING"), seen(trouble="away"), 3),
    ],
)
def test_a_cancel_is_shown_at_the_step_that_was_not_passed(task: Task, look: SeenRun | None, at: int) -> None:
    found = steps(asked_to_cancel(task, now_us()), look)
    assert looks(found)[:4] == ["reached"] * at + ["stopped"] + [""] * (3 - at)
    assert found[at][2] == "cancelled"


def test_the_stage_is_the_one_that_airflow_says_until_the_task_is_completed() -> None:
    on_airflow, nothing = OnAirflow(RUN_ID, seen("running"), False, None), OnAirflow(None, None, False, None)
    for task in (job("PUBLISHED"), failed(job("PUBLISHED")), asked_to_cancel(job("PUBLISHED"), now_us())):
        shown = as_seen(task, on_airflow)
        assert (shown.stage, shown.progress) == ("RUNNING", 50)
    for task, look in ((completed(job("PUBLISHED")), on_airflow), (job(), nothing)):
        assert as_seen(task, look) == task


# -- the pages of a server whose stack is away -------------------------------------------------------------------

SUBMIT = """mutation ($id: String) {
  createTask(type: "process_products", payload: {products: [{title: "Lamp", price: 1}]}, correlationId: $id) { id }
}"""
PAUSE = 'mutation { pauseTaskType(type: "process_products") { paused } }'
SET = """
UPDATE afterwrite.tasks SET stage = %s, result_json = %s, updated_at_us = updated_at_us + 1 WHERE id = %s RETURNING id
"""
END = """
UPDATE afterwrite.tasks SET status = 'COMPLETED', stage = 'COMPLETED', result_json = %s, ready = 0,
  started_at_us = created_at_us, finished_at_us = created_at_us,
  updated_at_us = updated_at_us + 1 WHERE id = %s RETURNING id
"""
RUN_OF = "INSERT INTO afterwrite.process_runs (run_id, task_id) VALUES (%s, %s) RETURNING run_id"


def away_from_all(fleet: Fleet, **more: str) -> ServerProcess:
    """A server whose RabbitMQ, Redis and Airflow do not answer."""
    nowhere = f"127.0.0.1:{free_port()}"
    return fleet.server(
        PROCESS_ENGINE="airflow",
        AMQP_URL=f"amqp://guest:guest@{nowhere}/",
        REDIS_URL=f"redis://{nowhere}/0",
        AIRFLOW_URL=f"http://{nowhere}",
        **more,
    ).start()


@pytest.fixture
def away(fleet: Fleet) -> ServerProcess:
    """A server whose RabbitMQ, Redis and Airflow do not answer; nothing claims its processes."""
    server = away_from_all(fleet, AIRFLOW_PUBLIC_URL="https://name:secret@airflow.example/stack/")
    server.query(PAUSE)
    return server


@pytest.fixture
def client(away: ServerProcess) -> Iterator[ConsoleClient]:
    found = ConsoleClient(away)
    with closing(found.http):
        yield found


def submit(server: ServerProcess, name: str) -> int:
    return int(server.query(SUBMIT, {"id": name})["createTask"]["id"])


def put(fleet: Fleet, task_id: int, stage: str, **left: Any) -> None:
    """Put a waiting process where only a stack that is there would bring it."""
    assert fleet.rows(SET, stage, json.dumps({"publishedAt": 1.5e9, **left}), task_id) == [(task_id,)]


def test_a_published_job_says_that_airflow_is_away_and_hides_what_it_waits_with(
    fleet: Fleet, away: ServerProcess, client: ConsoleClient
) -> None:
    task_id = submit(away, "first")
    page = client.get("/process/first").text
    assert "waits for RabbitMQ" in page
    assert "None yet: the request is not published." in page
    assert "airflow.example" not in page

    put(fleet, task_id, "PUBLISHED", runId="first", looks=3)
    answer = client.get("/process/first")
    assert "waits for Airflow" in answer.text
    assert answer.text.count("Airflow cannot be reached at http://127.0.0.1") == 1
    link = '<a href="https://airflow.example/stack/dags/process_products/runs/first" target="_blank" rel="noopener">'
    assert link in answer.text
    assert "looks" not in answer.text
    assert "name:secret" not in answer.text
    assert "Its run in Airflow" in client.get(f"/tasks/{task_id}").text

    def is_kept() -> bool:  # once the server has looked for changes of others
        tag = client.get("/process/first").headers["ETag"]
        return client.get("/process/first", If_None_Match=tag).status_code == 304

    wait_until(is_kept)
    tag = client.get("/process/first").headers["ETag"]
    put(fleet, task_id, "RUNNING", runId="first", looks=4)
    changed = client.get("/process/first", If_None_Match=tag)
    assert changed.status_code == 200
    assert "comes at the end of the run" in changed.text


def test_a_completed_job_still_knows_which_run_was_its_own(
    fleet: Fleet, away: ServerProcess, client: ConsoleClient
) -> None:
    first, second = submit(away, "shared"), submit(away, "shared")
    builtin = submit(away, "builtin")
    for name, task_id in (("shared", first), (f"shared-task-{second}", second)):
        assert fleet.rows(RUN_OF, name, task_id) == [(name,)]
    for task_id in (second, builtin):
        assert fleet.rows(END, '{"accepted": 1, "refused": 0}', task_id) == [(task_id,)]

    page = client.get("/process/shared").text
    assert f'/runs/shared-task-{second}"' in page
    assert "1 accepted, 0 refused" in page
    others = client.get("/process/builtin").text
    assert "VALIDATING" in others
    assert "Airflow" not in others


def test_a_run_that_was_given_up_by_a_retry_is_not_the_one_that_is_shown(
    fleet: Fleet, away: ServerProcess, client: ConsoleClient
) -> None:
    again = asked_again(failed(job("PUBLISHED")), now_us())
    task_id = submit(away, "again")
    put(fleet, task_id, again.stage or "", runId="again", looks=0)
    assert "waits for Airflow" in client.get("/process/again").text
    renew = "UPDATE afterwrite.tasks SET renewals = %s, updated_at_us = updated_at_us + 1 WHERE id = %s RETURNING id"
    assert fleet.rows(renew, again.renewals, task_id) == [(task_id,)]
    assert "None yet: the request is not published." in client.get("/process/again").text


def test_the_overview_tells_how_the_stack_is_and_administrators_why(fleet: Fleet) -> None:
    server = away_from_all(fleet, API_KEYS=KEYS)
    nowhere = server.environment["AIRFLOW_URL"].removeprefix("http://")
    reader, administrator = ConsoleClient(server), ConsoleClient(server)
    with closing(reader.http), closing(administrator.http):
        reader.sign_in(SECRETS[Role.READ])
        administrator.sign_in(SECRETS[Role.ADMIN])
        told, known = reader.get("/").text, administrator.get("/").text
    for part in ("RabbitMQ", "Redis", "Airflow"):
        assert f"<dt>{part}</dt>" in told
    assert known.count(nowhere) >= 3
    assert told.count("an administrator sees why") == 3
    assert nowhere not in told
