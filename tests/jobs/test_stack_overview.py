"""Looks at runs of Airflow for who shows them: how often it is asked, and that nobody waits for one that is away."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedIOBase
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from receiving_server import Post, ReceivingServer, reply
from server_process import wait_until

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import Settings
from afterwrite.jobs import overview
from afterwrite.jobs.airflow import AIRFLOW, run_url
from afterwrite.jobs.overview import StackOverview

INSTANCES = [
    {"task_id": "store", "state": None, "priority_weight": 2},
    {"task_id": "transform", "state": "running", "priority_weight": 3},
    {"task_id": "validate", "state": "success", "priority_weight": 4},
    {"task_id": "transform", "state": "success", "priority_weight": 3},
]


class OtherAirflow:
    """Answers as the API of Airflow does, or says nothing; every run is in the same state."""

    def __init__(self) -> None:
        self.state, self.is_silent, self.instances = "running", False, INSTANCES
        self.end_of_silence = threading.Event()

    def __call__(self, post: Post, out: BufferedIOBase, closing: threading.Event) -> None:
        """Answer a request."""
        if self.is_silent:
            self.end_of_silence.wait(30)
        elif post.path.startswith("/auth/token"):
            reply(201, b'{"access_token": "t"}')(post, out, closing)
        elif "taskInstances" in post.path:
            reply(200, json.dumps(self._page(post.path)).encode())(post, out, closing)
        else:
            reply(200, json.dumps({"state": self.state}).encode())(post, out, closing)

    def _page(self, path: str) -> dict[str, Any]:
        """At most 100, whatever is asked for: its ``maximum_page_limit``."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        begin = int(asked["offset"])
        page = self.instances[begin : begin + min(int(asked["limit"]), 100)]
        return {"task_instances": page, "total_entries": len(self.instances)}


class Site:
    """An overview, the Airflow that it asks, and a clock that the test moves."""

    def __init__(self, overview: StackOverview, server: ReceivingServer, airflow: OtherAirflow) -> None:
        self.overview, self.server, self.airflow, self.now = overview, server, airflow, 1_000.0

    def asked(self) -> int:
        """How often Airflow was asked for a run."""
        return sum(post.path.endswith("/dagRuns/one") for post in list(self.server.posts))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(overview, "_TIMEOUT_SECONDS", 0.5)
    airflow, background = OtherAirflow(), BackgroundLoop()
    background.start()
    with ReceivingServer(airflow) as server:
        found = Site(StackOverview(Settings(airflow_url=server.url), background, (AIRFLOW,)), server, airflow)
        monkeypatch.setattr(overview, "monotonic", lambda: found.now)
        found.overview.start()
        yield found
        airflow.end_of_silence.set()
        found.overview.stop()
    background.stop()


def test_the_tasks_of_a_run_come_in_the_order_of_the_dag_and_mapped_ones_are_counted(site: Site) -> None:
    found = [(task.name, task.total, dict(task.states)) for task in site.overview.run("one").tasks]
    assert found == [
        ("validate", 1, {"success": 1}),
        ("transform", 2, {"running": 1, "success": 1}),
        ("store", 1, {"waiting": 1}),
    ]


def test_a_run_is_looked_at_once_a_second_and_one_that_has_ended_more_seldom(site: Site) -> None:
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(site.overview.run, ["one"] * 8))
    assert {found.run and found.run.state for found in seen} == {"running"}
    assert site.asked() == 1, "callers of one moment share a query"
    site.now += 1.1
    site.airflow.state = "success"
    found = site.overview.run("one")
    assert found.run is not None
    assert found.run.state == "success"
    site.now += 20
    site.overview.run("one")
    assert site.asked() == 2
    site.now += 20
    site.overview.run("one")
    assert site.asked() == 3


def test_while_airflow_says_nothing_one_caller_waits_and_all_others_are_told_at_once(site: Site) -> None:
    assert site.overview.run("one").trouble is None
    site.now += 1.1
    site.airflow.is_silent = True
    assert site.overview.run("one").trouble == "Airflow did not answer within 0.5 s"
    asked = site.asked()
    for _ in range(50):
        for run_id in ("one", "two"):
            assert site.overview.run(run_id).trouble == "Airflow did not answer within 0.5 s"
    assert site.asked() == asked, "it is left alone for some seconds"

    site.now += 6
    assert site.overview.run("one").trouble is not None  # the call starts a query and does not wait for it
    wait_until(lambda: site.asked() == asked + 1)
    assert site.overview.run("one").trouble is not None
    assert site.asked() == asked + 1
    site.airflow.is_silent = False
    site.airflow.end_of_silence.set()

    def is_seen() -> bool:
        site.now += 6
        return site.overview.run("one").trouble is None

    wait_until(is_seen)
    assert site.overview.run("one").run is not None


def test_an_answer_that_cannot_be_understood_is_a_trouble_too(site: Site) -> None:
    site.server.replies = [reply(500, b'{"detail": "out of order"}')]
    assert "out of order" in (site.overview.run("one").trouble or "")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8080/dags/process_products/runs/a%2Fb"),
        ({"airflow_url": "http://user:secret@inner:8080/af/"}, "http://inner:8080/af/dags/process_products/runs/a%2Fb"),
        ({"airflow_public_url": "https://af.example/"}, "https://af.example/dags/process_products/runs/a%2Fb"),
        ({"airflow_public_url": "javascript:alert(1)//"}, None),
        ({"airflow_public_url": "af.example"}, None),
        ({"airflow_public_url": "https://[af/"}, None),
        ({"airflow_public_url": "https:///af"}, None),
    ],
)
def test_the_link_to_a_run_leads_to_a_page_or_there_is_none(given: dict[str, Any], url: str | None) -> None:
    assert run_url(Settings(**given), "a/b") == url


def test_every_part_of_a_long_run_is_seen(site: Site) -> None:
    part = {"task_id": "transform", "state": "running", "priority_weight": 3}
    site.airflow.instances = [*[part] * 250, *INSTANCES]
    seen = {task.name: task.total for task in site.overview.run("one").tasks}
    assert seen == {"validate": 1, "transform": 252, "store": 1}
