"""Jobs go through the whole stack: RabbitMQ, Redis, PostgreSQL and Airflow are real, and nothing is in their place."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from airflow_house import Airflow
from console_pages import console_of, dialog, fill, serious
from playwright.sync_api import Locator, Page, expect
from product_lists import LAMP
from server_process import wait_until
from stack_house import Stack, new_stack
from task_calls import paused

_LONG = 120_000  # milliseconds in which Airflow has done something, however busy the machine is


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Airflow]]:
    with new_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture
def stack(both: tuple[Stack, Airflow]) -> Stack:
    """The stack, all running."""
    return both[0]


def test_a_job_goes_through(stack: Stack) -> None:
    job = stack.submit([LAMP, {"title": "", "price": 3}])
    found = stack.ended(job)
    assert (found["status"], found["stage"], found["progress"]) == ("COMPLETED", "COMPLETED", 100)
    assert (found["result"]["accepted"], found["result"]["refused"]) == (1, 1)
    [told] = wait_until(lambda: stack.told()[job])
    assert told.event["result"] == found["result"]


def test_the_console_shows_a_job_from_accepted_to_notified(
    both: tuple[Stack, Airflow], tmp_path: Path
) -> None:
    stack, airflow = both
    with console_of(stack.server, tmp_path, reduced_motion="reduce") as visit, ExitStack() as held:
        page = visit.page
        with _no_consumer(stack):
            with paused(stack.server, "process_products"):
                job = _submit_on_page(page)
                page.evaluate("window.notReloaded = true")
                _expect_steps(page, reached=["ACCEPTED"], now="PUBLISHED")
            _expect_steps(page, reached=["ACCEPTED", "PUBLISHED"], now="RUNNING")
            expect(_run(page)).to_contain_text("Airflow does not know it yet")
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
    with stack.fleet.connection() as connection, connection.transaction():
        connection.execute("LOCK TABLE afterwrite.process_parts IN EXCLUSIVE MODE")
        yield


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
