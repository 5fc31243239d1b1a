"""Requests to Airflow over real sockets: what is sent, what is made of every kind of answer, and of none."""

import asyncio
import sys

import pytest
from receiving_server import ReceivingServer, Reply, raw, reply, silence
from server_process import free_port

from afterwrite.base.settings import Settings
from afterwrite.jobs.airflow import Airflow
from afterwrite.jobs.errors import RunRefused, ServiceAway

TOKEN = reply(201, b'{"access_token": "t"}', Connection="close")


def start_run(url: str, timeout_seconds: float = 30.0) -> bool:
    """Ask for a run."""

    async def work() -> bool:
        airflow = Airflow(Settings(airflow_url=url), timeout_seconds=timeout_seconds)
        try:
            return await airflow.start_run("job-1", {"correlation_id": "job-1"}, {"traceparent": "a trace"})
        finally:
            await airflow.close()

    return asyncio.run(work())


def test_a_run_is_asked_for_under_the_path_of_airflow_with_all_that_it_needs() -> None:
    with ReceivingServer(TOKEN, reply(200, b"{}")) as server:
        assert start_run(f"{server.url}/airflow/")
    [of_token, of_run] = server.posts
    assert of_token.path == "/airflow/auth/token"
    assert of_run.path == "/airflow/api/v2/dags/process_products/dagRuns"
    assert of_run.body == b'{"dag_run_id": "job-1", "logical_date": null, "conf": {"correlation_id": "job-1"}}'
    sent = {name: of_run.headers[name] for name in ("authorization", "traceparent", "content-type", "host")}
    assert sent == {
        "authorization": "Bearer t",
        "traceparent": "a trace",
        "content-type": "application/json",
        "host": f"127.0.0.1:{server.server_port}",
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(502, b"<h1>Bad\ngateway</h1>"), "502 to /api/v2/dags/process_products/dagRuns: <h1>Bad gateway</h1>"),
        (reply(403, b'{"detail": "no"}'), "403 to /api/v2/dags/process_products/dagRuns: no"),
        (reply(500), "500 to /api/v2/dags/process_products/dagRuns: an empty answer"),
        (reply(200, b"hello"), "200 to /api/v2/dags/process_products/dagRuns: hello"),
        (reply(200, b"[1]"), r"200 to /api/v2/dags/process_products/dagRuns: \[1\]"),
        (reply(302, location="http://127.0.0.1:9/"), "302 to /api/v2/dags/process_products/dagRuns: an empty answer"),
        (raw(b""), "cannot be reached at http://127.0.0.1:"),
        (raw(b"no HTTP\r\n\r\n"), "cannot be reached at http://127.0.0.1:"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "cannot be reached at http://127.0.0.1:"),
    ],
)
def test_an_answer_that_says_nothing_of_the_run_is_tried_again_later(answer: Reply, said: str) -> None:
    with ReceivingServer(TOKEN, answer) as server, pytest.raises(ServiceAway, match=said):
        start_run(server.url)


@pytest.mark.parametrize("status", [400, 422])
def test_an_answer_that_refuses_the_run_is_told_word_by_word(status: int) -> None:
    refusal = reply(status, b'{"detail": [{"msg": "too long"}]}')
    with (
        ReceivingServer(TOKEN, refusal) as server,
        pytest.raises(RunRefused, match=r"refuses the run job-1: .*too long"),
    ):
        start_run(server.url)


def test_an_airflow_that_is_silent_or_away_is_told_with_its_address() -> None:
    with (
        ReceivingServer(silence) as server,
        pytest.raises(ServiceAway, match=f"cannot be reached at {server.url}: ReadTimeout"),
    ):
        start_run(server.url, 0.2)
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceAway, match=f"cannot be reached at {url}: "):
        start_run(url)


class Searches:
    """Stands before all other finders of modules and keeps what is searched for, as ``import`` does on disk."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, _path: object, _target: object = None) -> None:
        """Find nothing."""
        self.names.append(name)


def test_a_request_searches_for_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = Searches()
    with ReceivingServer(TOKEN, reply(200, b"{}", Connection="close")) as server:
        start_run(server.url)
        monkeypatch.setattr(sys, "meta_path", [searches, *sys.meta_path])
        server.replies = [TOKEN, reply(200, b"{}", Connection="close")]
        start_run(server.url)
    assert searches.names == []
