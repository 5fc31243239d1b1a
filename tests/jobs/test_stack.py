"""Jobs go through the whole stack: RabbitMQ, Redis, PostgreSQL and Airflow are real, and nothing is in their place."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow_house import Airflow
from console_pages import console_of, dialog, fill, serious
from playwright.sync_api import Locator, Page, expect
from product_lists import LAMP
from redis import Redis
from server_process import ServerProcess, wait_until
from stack_house import Stack, new_stack
from stack_parts import metric
from task_calls import paused

from afterwrite.jobs.pipeline import adds_up
from afterwrite.tasks.workers.process_products import PRODUCTS_MAX

_LONG = 120_000  # milliseconds in which Airflow has done something, however busy the machine is

JOBS_AT_ONCE = 50
LAMPS = [LAMP] * 1_100  # three parts
TRACE = "0af7651916cd43dd8448eb211c80319c"
_STATE_OF = "SELECT state FROM dag_run WHERE run_id = %s"
_RUNNING = "SELECT 1 FROM task_instance WHERE state = 'running' AND run_id = ANY(%s)"
_RUNS_OF = "SELECT conf ->> 'correlation_id', run_id FROM dag_run WHERE conf ->> 'correlation_id' = ANY(%s)"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Airflow]]:
    with new_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture
def both(running: tuple[Stack, Airflow]) -> tuple[Stack, Airflow]:
    """The stack and its Airflow, all running."""
    running[1].revive()
    return running


@pytest.fixture
def stack(both: tuple[Stack, Airflow]) -> Stack:
    """The stack, all running."""
    return both[0]


def test_a_job_goes_through(stack: Stack) -> None:
    job = stack.submit([LAMP, {"title": "", "price": 3}], traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    found = stack.ended(job)
    assert (found["status"], found["stage"], found["progress"]) == ("COMPLETED", "COMPLETED", 100)
    assert (found["result"]["accepted"], found["result"]["refused"]) == (1, 1)
    [told] = wait_until(lambda: stack.told()[job])
    assert told.event["result"] == found["result"]
    stored = stack.fleet.rows("SELECT product FROM afterwrite.processed_products WHERE run_id = %s", job)
    assert [row[0] for row in stored] == found["result"]["products"]
    with contextlib.closing(Redis.from_url(stack.redis.url, decode_responses=True)) as redis:
        key = f"afterwrite:callback:{job}"
        assert redis.get(key) == f"{stack.receiver.url}/called"
        assert 0 < redis.ttl(key) <= 168 * 3600
    # One trace from the request to the webhook, and in the log of every service.
    assert told.headers["traceparent"].split("-")[1] == TRACE
    for service in stack.services:
        # Waited for: notification.py logs a delivery after the receiver has it.
        lines = wait_until(partial(_lines_about, job, stack, service))
        assert {line["trace_id"] for line in lines} == {TRACE}


def _lines_about(job: str, stack: Stack, service: ServerProcess) -> list[dict[str, Any]]:
    return [line for line in stack.log_lines(service) if line.get("correlation_id") == job]


def test_a_list_goes_through_that_is_too_long_for_the_built_in_pipeline(stack: Stack) -> None:
    count = PRODUCTS_MAX + 1_234
    job = stack.submit([{"title": f"Lamp {number}", "price": number} for number in range(count)])
    result = stack.ended(job, 240)["result"]
    assert (result["received"], result["accepted"], result["statistics"]["count"]) == (count, count, count)
    stored = "SELECT count(*), min(index), max(index) FROM afterwrite.processed_products WHERE run_id = %s"
    assert stack.fleet.rows(stored, job) == [(count, 0, count - 1)]
    assert stack.fleet.rows("SELECT * FROM afterwrite.process_parts WHERE run_id = %s", job) == []
    assert adds_up(result, count)


def test_a_job_without_a_valid_product_fails_with_the_reason(both: tuple[Stack, Airflow]) -> None:
    stack, airflow = both
    job = stack.submit([{"title": ""}])
    found = stack.ended(job)
    assert (found["status"], found["error"]["code"]) == ("FAILED", "NO_VALID_PRODUCT")
    [told] = wait_until(lambda: stack.told()[job])
    assert (told.event["event"], told.event["error"]) == ("task.failed", found["error"])
    # Airflow says so too, though the task that publishes did well.
    wait_until(lambda: airflow.rows(_STATE_OF, job)[0][0] != "running")
    assert airflow.rows(_STATE_OF, job) == [("failed",)]


def test_tasks_of_a_run_that_are_done_again_leave_the_same(both: tuple[Stack, Airflow]) -> None:
    stack, airflow = both
    job = stack.submit(LAMPS)
    shown = stack.ended(job)
    wait_until(lambda: airflow.rows(_STATE_OF, job) == [("success",)], 60)
    left = "SELECT report_json, ended_at, (SELECT array_agg(product) FROM afterwrite.processed_products AS p "
    left += "WHERE p.run_id = r.run_id) FROM afterwrite.process_runs AS r WHERE run_id = %s"
    before = stack.fleet.rows(left, job)
    airflow.do_again(job)
    again = "SELECT count(*) FROM task_instance WHERE run_id = %s AND try_number > 1 AND state = 'success'"
    wait_until(lambda: airflow.rows(again, job) == [(6,)], 120)
    assert stack.fleet.rows(left, job) == before
    assert stack.process(job) == shown
    wait_until(lambda: metric(stack.notification, 'afterwrite_messages_total{outcome="dropped"') > 0)
    assert len(stack.told()[job]) == 1


def test_every_log_line_of_a_task_of_the_dag_names_the_job(both: tuple[Stack, Airflow]) -> None:
    stack, airflow = both
    job = stack.submit([LAMP], traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    stack.ended(job)

    def logged() -> list[dict[str, Any]]:
        """All that ours have logged, the last line of which comes when the job may have ended already."""
        lines = [line for line in airflow.task_log(job) if line.get("logger", "").startswith("afterwrite")]
        return lines if any("the outcome is published" in line.get("event", "") for line in lines) else []

    lines = wait_until(logged)
    assert len(lines) >= 3  # described, stored, published
    assert {(line.get("correlation_id"), line.get("trace_id")) for line in lines} == {(job, TRACE)}


def test_a_job_that_is_cancelled_before_its_run_begins_is_not_run_until_it_is_tried_again(
    both: tuple[Stack, Airflow],
) -> None:
    stack, airflow = both
    with _no_consumer(stack):
        job = stack.submit([LAMP])
        wait_until(lambda: stack.process(job)["stage"] == "PUBLISHED")
        [(task_id,)] = stack.fleet.rows("SELECT id FROM afterwrite.tasks WHERE correlation_id = %s", job)
        stack.server.query(f'mutation {{ cancelTask(id: "{task_id}") {{ id }} }}')
    wait_until(lambda: airflow.rows(_STATE_OF, job) == [("failed",)], 60)
    assert stack.process(job)["status"] == "CANCELLED"
    stack.server.query(f'mutation {{ retryTask(id: "{task_id}") {{ id }} }}')
    assert stack.ended(job)["result"]["accepted"] == 1
    assert airflow.rows(_STATE_OF, f"{job}-again")[0][0] in ("running", "success")
    wait_until(lambda: len(stack.told()[job]) == 2)
    assert [one.event["event"] for one in stack.told()[job]] == ["task.cancelled", "task.completed"]


def test_fifty_jobs_at_once_go_through(both: tuple[Stack, Airflow]) -> None:
    stack, airflow = both
    with ThreadPoolExecutor(10) as threads:
        jobs = list(threads.map(lambda number: stack.submit([LAMP], f"many {number}"), range(JOBS_AT_ONCE)))
    assert len(set(jobs)) == JOBS_AT_ONCE
    all_ended_once(stack, airflow, jobs, 400)


def kill_services(name: str) -> Callable[[Stack, Airflow], None]:
    return lambda stack, _: getattr(stack, name).kill()


def start_service(name: str) -> Callable[[Stack, Airflow], None]:
    def start(stack: Stack, _: Airflow) -> None:
        getattr(stack, name).start()

    return start


# How each part is killed, and how it is started again.
PARTS: dict[str, tuple[Callable[[Stack, Airflow], None], Callable[[Stack, Airflow], None]]] = {
    name: (kill_services(name), start_service(name))
    for name in ("server", "consumer", "notification", "rabbitmq", "redis")
}
PARTS["postgres"] = (lambda stack, _: stack.postgres.stop_at_once(), lambda stack, _: stack.postgres.start())
PARTS |= {
    name: (
        lambda _, airflow, name=name: airflow.kill(name),  # type: ignore[misc]
        lambda _, airflow, name=name: airflow.start(name),  # type: ignore[misc]
    )
    for name in ("api-server", "scheduler")
}
# Without these nothing can be accepted.
NEEDED_TO_ACCEPT = ("server", "postgres")


@pytest.mark.parametrize("part", PARTS)
def test_every_job_ends_once_though_a_part_is_killed(both: tuple[Stack, Airflow], part: str) -> None:
    """One job runs in Airflow when the part is killed, one was just accepted, one comes while the part is away."""
    stack, airflow = both
    kill, start = PARTS[part]
    jobs = [stack.submit(LAMPS, f"{part} begun")]
    wait_until(lambda: airflow.rows(_RUNNING, jobs), 240)
    jobs.append(stack.submit(LAMPS, f"{part} accepted"))
    kill(stack, airflow)
    if part not in NEEDED_TO_ACCEPT:
        jobs.append(stack.submit(LAMPS, f"{part} away"))
    start(stack, airflow)
    all_ended_once(stack, airflow, jobs, 400)


def all_ended_once(stack: Stack, airflow: Airflow, jobs: list[str], timeout: float) -> None:
    """Each job is COMPLETED, by one run of the DAG, and was told with one event id.

    Airflow's scheduler ends some time after it has lost its database, as it is made: its supervisor starts it again.
    """

    def all_ended() -> bool:
        airflow.revive()
        return all(stack.process(job).get("finished_at") for job in jobs)

    wait_until(all_ended, timeout)
    assert {stack.process(job)["status"] for job in jobs} == {"COMPLETED"}
    wait_until(lambda: set(jobs) <= set(stack.told()))
    told = stack.told()
    assert {len({one.event_id for one in told[job]}) for job in jobs} == {1}
    assert sorted(airflow.rows(_RUNS_OF, jobs)) == sorted((job, job) for job in jobs)


def test_the_console_shows_a_job_from_accepted_to_notified(both: tuple[Stack, Airflow], tmp_path: Path) -> None:
    stack, airflow = both
    with console_of(stack.server, tmp_path, reduced_motion="reduce") as visit, ExitStack() as held:
        page = visit.page
        with _no_consumer(stack):
            with paused(stack.server, "process_products"):
                job = _submit_on_page(page)
                page.evaluate("window.notReloaded = true")
                _expect_steps(page, reached=["ACCEPTED"], now="PUBLISHED")
            _expect_steps(page, reached=["ACCEPTED", "PUBLISHED"], now="RUNNING")
            expect(_run(page)).to_contain_text("Airflow does not know the run yet")
            expect(page.get_by_text("None yet", exact=True)).to_be_visible()  # and not what it waits with
            held.enter_context(_transforming_waits(stack))
        _expect_steps(page, reached=["ACCEPTED", "PUBLISHED", "RUNNING"], now="RESULT")
        expect(_task(page, "validate")).to_contain_text("success", timeout=_LONG)
        expect(_task(page, "transform")).to_contain_text(re.compile(r"3 parts .*running"), timeout=_LONG)
        expect(_task(page, "publish")).to_contain_text("waiting")
        assert serious(page) == []
        page.emulate_media(color_scheme="dark")
        assert serious(page, "color-contrast") == []
        held.close()

        _expect_steps(page, reached=["ACCEPTED", "PUBLISHED", "RUNNING", "RESULT", "NOTIFIED"], now=None)
        expect(_run(page).get_by_role("heading")).to_contain_text("success", timeout=_LONG)
        expect(_task(page, "transform")).to_contain_text(re.compile(r"3 parts .*success\s+3"))
        expect(page.get_by_role("region", name="Result")).to_contain_text('"accepted": 1200')
        expect(page.locator("table", has_text="Signature")).to_contain_text("valid")
        assert page.evaluate("window.notReloaded")
        link = _run(page).get_by_role("link", name="Open the run in Airflow")
        expect(link).to_have_attribute("href", f"{airflow.url}/dags/process_products/runs/{job}")
        expect(link).to_have_attribute("rel", "noopener")

        page.goto("/")
        for part in ("RabbitMQ", "Redis", "Airflow"):
            expect(page.locator("dt", has_text=part).locator("+ dd")).to_contain_text("ok")


@contextmanager
def _no_consumer(stack: Stack) -> Iterator[None]:
    """Inside nobody has Airflow begin runs."""
    stack.consumer.kill()
    try:
        yield
    finally:
        stack.consumer.start()


@contextmanager
def _transforming_waits(stack: Stack) -> Iterator[None]:
    """Inside the tasks of a run that transform wait for a lock."""
    with stack.fleet.connection() as connection:
        connection.execute(
            "CREATE FUNCTION afterwrite.wait() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER wait BEFORE UPDATE ON afterwrite.process_parts FOR EACH ROW "
            "EXECUTE FUNCTION afterwrite.wait()"
        )
        connection.execute("SELECT pg_advisory_lock(4711)")
        yield
        connection.execute("SELECT pg_advisory_unlock(4711)")
        connection.execute("DROP FUNCTION afterwrite.wait CASCADE")


def _submit_on_page(page: Page) -> str:
    """Submit a job as people do, of three parts, called back at the server's own receiver; opens its page."""
    page.goto("/process")
    page.get_by_role("link", name="Submit a job").click()
    products = [{**LAMP, "title": f"Lamp {number}"} for number in range(1_200)]
    fill(page, **{"Products,_as_JSON": json.dumps({"products": products})})
    dialog(page).get_by_role("button", name="Submit").click()
    dialog(page).get_by_role("link", name="Open the job").click()
    page.wait_for_url("**/process/*-*")
    return page.url.rpartition("/")[2]


def _expect_steps(page: Page, *, reached: list[str], now: str | None) -> None:
    """The page comes to show that these steps are reached, and which one is next."""
    expect(page.locator(".steps li.reached b")).to_have_text(reached, timeout=_LONG)
    expect(page.locator(".steps li[aria-current=step] b")).to_have_text([] if now is None else [now])


def _run(page: Page) -> Locator:
    return page.get_by_role("region", name="Run in Airflow")


def _task(page: Page, name: str) -> Locator:
    """What the page says of a task of the DAG."""
    return _run(page).locator("dt", has_text=name).locator("+ dd")
