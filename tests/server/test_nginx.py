"""nginx as docker/nginx.conf has it: shares requests, goes on with the others, repeats nothing that may count twice."""

import contextlib
import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from granian.http import HTTP1Settings
from proxied_api import CONF, Nginx, StandIn
from server_process import ServerProcess

from afterwrite.base.settings import Settings


class House:
    """Two APIs behind nginx."""

    def __init__(self, folder: Path) -> None:
        self.apis = [StandIn(), StandIn()]
        try:
            self.nginx = Nginx(folder, *(api.port for api in self.apis))
        except BaseException:
            self.stop()
            raise

    def requests(self) -> list[tuple[str, str]]:
        """What came to either."""
        return [request for api in self.apis for request in api.requests]

    def stop(self) -> None:
        """End the APIs."""
        for api in self.apis:
            api.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.nginx.close()
    found.stop()


def test_requests_are_shared(house: House) -> None:
    ports = {house.nginx.send("GET", "/")[1]["port"] for _ in range(10)}
    assert ports == {api.port for api in house.apis}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_when_an_api_has_gone_the_other_answers_everything(house: House, method: str) -> None:
    for _ in range(4):  # connections to both are kept
        house.nginx.send("GET", "/")
    gone, left = house.apis
    gone.stop()
    body = b"{}" if method == "POST" else None
    answers = [house.nginx.send(method, "/", body) for _ in range(20)]
    assert {(status, told["port"]) for status, told in answers} == {(200, left.port)}


def test_a_post_that_was_sent_is_never_repeated(house: House) -> None:
    status, told = house.nginx.send("POST", "/break", b"{}")
    assert house.requests() == [("POST", "/break")]
    assert (status, told["errors"][0]["extensions"]["code"]) == (503, "API_AWAY")
    assert "idempotencyKey" in told["errors"][0]["message"]


def test_a_get_is_tried_at_the_other(house: House) -> None:
    assert house.nginx.send("GET", "/break")[0] == 503
    assert [api.requests for api in house.apis] == [[("GET", "/break")]] * 2


def test_without_any_api_the_answer_is_one_of_our_errors(house: House) -> None:
    house.stop()
    connection = http.client.HTTPConnection("127.0.0.1", house.nginx.port, timeout=30)
    connection.request("GET", "/graphql")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.read())["errors"][0]["extensions"] == {"code": "API_AWAY"}
    connection.close()


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        ({}, {"For": "127.0.0.1", "Host": "shop.test:8080", "Proto": "http"}),
        (
            {"X-Forwarded-For": "10.0.0.7", "X-Forwarded-Host": "a.test", "X-Forwarded-Proto": "https"},
            {"For": "10.0.0.7, 127.0.0.1", "Host": "a.test, shop.test:8080", "Proto": "https, http"},
        ),
    ],
)
def test_what_nginx_knows_is_said_last(house: House, sent: dict[str, str], forwarded: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.nginx.port, timeout=30)
    connection.request("GET", "/", headers={"Host": "shop.test:8080", **sent})
    came = json.loads(connection.getresponse().read())["headers"]
    connection.close()
    assert came["Host"] == "shop.test:8080"
    assert {name: came[f"X-Forwarded-{name}"] for name in forwarded} == forwarded


def test_the_longest_upload_comes_through_and_a_longer_body_is_refused(house: House) -> None:
    longest = Settings().upload_max_bytes + (64 << 10)
    assert house.nginx.send("POST", "/products/upload", bytes(longest))[1]["bytes"] == longest
    connection = http.client.HTTPConnection("127.0.0.1", house.nginx.port, timeout=30)
    connection.putrequest("POST", "/products/upload")
    connection.putheader("Content-Length", str(longest + (1 << 20)))
    connection.endheaders()  # refused by its length, before the body
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["errors"][0]["extensions"] == {"code": "BODY_TOO_LARGE"}
    connection.close()


def test_a_url_as_long_as_the_api_takes_comes_through(house: House) -> None:
    path = "/graphql?query=" + "x" * 60_000
    assert house.nginx.send("GET", path)[0] == 200
    assert house.requests() == [("GET", path)]


def test_an_event_comes_through_at_once(house: House) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.nginx.port, timeout=30)
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.readline() == b"data: 1\n"  # the second one is not sent yet
    for api in house.apis:
        api.go_on.set()
    assert answer.read() == b"\ndata: 2\n\n"
    connection.close()


def test_nginx_gives_up_idle_connections_before_the_api_does() -> None:
    text = CONF.read_text(encoding="utf-8")
    [upstream] = re.findall(r"upstream api \{(.*?)\n    \}", text, re.DOTALL)
    [kept_seconds] = re.findall(r"keepalive_timeout (\d+)s;", upstream)
    assert int(kept_seconds) * 1_000 < HTTP1Settings().header_read_timeout


def test_nginx_waits_longer_than_a_request_may_wait() -> None:
    text = CONF.read_text(encoding="utf-8")
    for name in ("proxy_read_timeout", "worker_shutdown_timeout"):
        [seconds] = re.findall(rf"{name} (\d+)s;", text)
        assert int(seconds) > Settings().wait_seconds


def test_an_open_server_behind_nginx_is_open_to_this_machine_only(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = make_server(PUBLISHED_HOST="127.0.0.1", OWN_PROXIES="1").start()
    with contextlib.closing(Nginx(tmp_path, server.port)) as nginx:
        for host, expected in (("localhost:5000", 200), ("127.0.0.1", 200), ("evil.test", 421)):
            for claimed in ("localhost", "evil.test"):
                connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)
                headers = {"Host": host, "X-Forwarded-Host": claimed}
                connection.request("GET", "/api/entries", headers=headers)
                assert connection.getresponse().status == expected
                connection.close()
