"""Servers without keys: open to their own machine only, refused elsewhere, for everybody where that is said aloud."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from access_site import KEYS, SECRETS, Site, bearer, code_of, site_over
from server_process import ROOT, ServerProcess, free_port, wait_until

from afterwrite.access.key_file import add_key
from afterwrite.access.keys import Key, hash_of
from afterwrite.access.opening import anonymous_role, is_loopback
from afterwrite.access.roles import Role
from afterwrite.base.settings import Settings, SettingsError

pytestmark = pytest.mark.one_database("keys are files")

MakeServer = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_over(tmp_path_factory.mktemp("open") / "data", api_keys="") as made:
        yield made


def refusal(folder: Path, **environment: str) -> str:
    """What a server says that must not start."""
    given = {"DATA_DIR": str(folder / "data"), "PORT": str(free_port()), **environment}
    run = subprocess.run(
        [sys.executable, str(ROOT / "app.py")], env=os.environ | given, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_that_others_reach_does_not_start_without_keys(tmp_path: Path, host: str) -> None:
    if host == "::" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    line = refusal(tmp_path, HOST=host)
    assert f"HOST={host} can be reached from other machines, and there are no keys" in line
    for way_out in ("dev.py key add", "HOST=127.0.0.1", "ALLOW_ANONYMOUS"):
        assert way_out in line


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PUBLISHED_HOST": "0.0.0.0"}, "PUBLISHED_HOST=0.0.0.0 can be reached"),
        ({"PROXIES": "1"}, "PROXIES=1 says that a proxy leads others here, and there are no keys"),
        ({"API_KEYS": "ann:read"}, "API_KEYS, key 1: 8 characters are not a key"),
        ({"API_KEYS_FILE": "/nowhere/keys"}, "/nowhere/keys cannot be read"),
        ({"RATE_LIMIT": "often"}, "RATE_LIMIT='often' is not understood"),
        ({"RATE_LIMIT": "0/minute"}, "RATE_LIMIT='0/minute'"),
        ({"ALLOW_ANONYMOUS": "admin"}, "ALLOW_ANONYMOUS='admin' is not known"),
    ],
)
def test_what_cannot_be_used_stops_the_start_with_one_line(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    assert told in refusal(tmp_path, **environment)


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")
@pytest.mark.parametrize("bind", ["0.0.0.0:{port}", "127.0.0.1:{port} --bind 0.0.0.0:0", "unix:{folder}/s"])
def test_gunicorn_is_bound_no_wider_by_its_own_arguments(tmp_path: Path, bind: str) -> None:
    arguments = f"--bind {bind.format(port=free_port(), folder=tmp_path)}"
    line = refusal(tmp_path, SERVER="gunicorn", GUNICORN_CMD_ARGS=arguments)
    assert line.startswith("afterwrite: HOST=")
    assert "can be reached from other machines, and there are no keys" in line


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")
def test_gunicorn_with_arguments_of_its_own_starts_with_keys(make_server: MakeServer) -> None:
    server = make_server(SERVER="gunicorn", API_KEYS=KEYS)
    server.environment["GUNICORN_CMD_ARGS"] = f"--bind 0.0.0.0:{server.port}"
    assert server.start().get("/api/entries")[0] == 401
    assert "serving on http://0.0.0.0:" in server.log


def test_keys_let_it_start_and_are_asked_for(make_server: MakeServer) -> None:
    server = make_server(HOST="0.0.0.0", API_KEYS=KEYS).start()
    assert server.get("/api/entries")[0] == 401
    client = server.client()
    assert client.request("GET", "/api/entries", headers=bearer(Role.READ))[0] == 200
    client.close()


def test_a_container_is_open_where_its_port_is_published_on_this_machine_only(make_server: MakeServer) -> None:
    server = make_server(HOST="0.0.0.0", PUBLISHED_HOST="127.0.0.1").start()
    assert server.get("/api/entries")[0] == 200


@pytest.mark.parametrize("http_server", ["granian", "gunicorn"])
def test_anonymous_callers_are_let_in_loudly(make_server: MakeServer, http_server: str) -> None:
    server = make_server(HOST="0.0.0.0", ALLOW_ANONYMOUS="read", SERVER=http_server, LOG_STDERR="off")
    process = server.start(keep_errors=True).process
    assert process is not None and process.stderr is not None
    warning = "ALLOW_ANONYMOUS=read: every client that reaches this server may read everything without a key"
    assert warning in process.stderr.readline()
    assert f"WARNING afterwrite.app: {warning}" in server.log
    assert server.get("/api/entries")[0] == 200
    client = server.client()
    status, body = client.request("POST", "/api/entries", b'{"title": "x"}', {"Content-Type": "application/json"})
    assert (status, json.loads(body)["code"]) == (401, "UNAUTHENTICATED")
    client.close()


def test_a_key_closes_an_open_server_at_once_and_for_good(make_server: MakeServer) -> None:
    server = make_server().start()
    path = server.data_dir / "api-keys"
    assert server.get("/metrics")[0] == 200
    add_key(path, Key("ann", Role.READ, hash_of("aw_x")))
    wait_until(lambda: server.get("/metrics")[0] == 401)
    path.write_text("")
    client = server.client()
    ask = {"Authorization": "Bearer aw_x"}
    wait_until(lambda: client.request("GET", "/api/entries", headers=ask)[0] == 401)  # the key has gone
    assert server.get("/metrics")[0] == 401
    client.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:5000", 200),
        ("127.0.0.1:5000", 200),
        ("127.8.9.10", 200),
        ("[::1]:5000", 200),
        ("[::1]", 200),
        ("", 200),  # no browser sends that
        ("evil.test", 421),
        ("evil.test:5000", 421),
        ("localhost.evil.test", 421),
        ("localhost:5000@evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("10.0.0.1", 421),
        ("0.0.0.0", 421),
        ("[::2]:5000", 421),
        ("::1", 421),  # an address of IPv6 stands in brackets there
    ],
)
def test_an_open_server_answers_only_to_its_own_names(open_site: Site, host: str, status: int) -> None:
    for path in ("/api/entries", "/graphql?query={__typename}", "/health", "/"):
        answer = open_site.send("GET", path, environ_overrides={"HTTP_HOST": host})
        assert answer.status_code == status
    if status == 421:
        answer = open_site.send("GET", "/api/entries", environ_overrides={"HTTP_HOST": host})
        assert code_of(answer) == "MISDIRECTED_REQUEST"
        assert "dev.py key add" in answer.get_json(force=True)["detail"]


def test_what_is_forwarded_opens_no_server_under_another_name(open_site: Site) -> None:
    headers = {"Host": "evil.test", "X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    assert open_site.send("GET", "/api/entries", headers=headers).status_code == 421


def test_behind_its_own_proxy_an_open_server_looks_at_the_host_that_the_proxy_passes_on(tmp_path: Path) -> None:
    published = {"host": "0.0.0.0", "published_host": "127.0.0.1", "own_proxies": 1}
    with site_over(tmp_path / "data", api_keys="", **published) as site:
        for host, forwarded, status in (
            ("localhost:5000", "localhost:5000", 200),
            ("evil.test", "evil.test", 421),
            ("evil.test", "localhost", 421),  # past the proxy, from a page that wrote the header itself
        ):
            headers = {"Host": host, "X-Forwarded-Host": forwarded, "X-Forwarded-For": "10.0.0.7"}
            assert site.send("GET", "/api/entries", headers=headers).status_code == status


def test_names_do_not_matter_where_keys_do(tmp_path: Path) -> None:
    elsewhere = {"Host": "shop.test"}
    with site_over(tmp_path / "keys") as site:
        assert site.send("GET", "/api/entries", Role.READ, headers=elsewhere).status_code == 200
    with site_over(tmp_path / "anonymous", api_keys="", allow_anonymous="read") as site:
        assert site.send("GET", "/api/entries", headers=elsewhere).status_code == 200


def test_on_an_open_server_everything_may_be_done_and_a_key_is_no_obstacle(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", api_keys="") as site:
        for headers in ({}, {"Authorization": "Bearer aw_of_another_server"}):
            assert site.send("GET", "/metrics", headers=headers).status_code == 200
            assert (
                "errors"
                not in site.send("POST", "/graphql", json={"query": "{ queue { depth } }"}, headers=headers).get_json()
            )


@pytest.mark.parametrize(("word", "role"), [("read", Role.READ), ("write", Role.WRITE)])
def test_anonymous_callers_have_the_role_that_was_given_also_beside_keys(tmp_path: Path, word: str, role: Role) -> None:
    for keys in ("", KEYS):
        with site_over(tmp_path / f"data{bool(keys)}", api_keys=keys, allow_anonymous=word) as site:
            assert site.send("GET", "/api/entries").status_code == 200
            created = site.send("POST", "/api/entries", json={"title": "x"})
            assert created.status_code == (201 if role is Role.WRITE else 401)
            assert site.send("GET", "/metrics").status_code == 401
            if keys:
                assert site.send("GET", "/metrics", Role.ADMIN).status_code == 200
            assert site.send("GET", "/api/entries", headers={"Authorization": "Bearer aw_wrong"}).status_code == 401


@pytest.mark.parametrize(
    ("settings", "has_keys", "role"),
    [
        (Settings(), False, Role.ADMIN),
        (Settings(), True, Role.NOBODY),
        (Settings(host="::1"), False, Role.ADMIN),
        (Settings(host="localhost"), False, Role.ADMIN),
        (Settings(host="0.0.0.0"), True, Role.NOBODY),
        (Settings(host="0.0.0.0", published_host="127.0.0.1"), False, Role.ADMIN),
        (Settings(host="127.0.0.1", allow_anonymous="read"), False, Role.READ),
        (Settings(host="0.0.0.0", allow_anonymous="write"), False, Role.WRITE),
        (Settings(proxies=1), True, Role.NOBODY),
        (Settings(proxies=1, allow_anonymous="read"), False, Role.READ),
        (Settings(proxies=1), False, None),
        (Settings(host="0.0.0.0", published_host="127.0.0.1", proxies=1), False, None),
        (Settings(host="0.0.0.0", published_host="127.0.0.1", own_proxies=1), False, Role.ADMIN),
        (Settings(host="0.0.0.0", published_host="127.0.0.1", own_proxies=1, proxies=1), False, None),
        (Settings(host="0.0.0.0", published_host="0.0.0.0", own_proxies=1), False, None),
        (Settings(host="127.0.0.1", own_proxies=1), False, None),
        (Settings(host="0.0.0.0"), False, None),
        (Settings(host="shop.test"), False, None),
        (Settings(host="127.0.0.1", published_host="0.0.0.0"), False, None),
    ],
)
def test_who_needs_no_key(settings: Settings, has_keys: bool, role: Role | None) -> None:
    if role is not None:
        assert anonymous_role(settings, has_keys=has_keys) is role
        return
    with pytest.raises(SettingsError, match=r"(can be reached|leads others here).*, and there are no keys"):
        anonymous_role(settings, has_keys=has_keys)


def test_a_name_that_may_lead_anywhere_is_no_loopback_address() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("[::1]") and is_loopback("LocalHost")
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "localhost.", "localhost.localdomain", "192.168.1.1")))


def test_health_tells_each_role_what_it_may_know(tmp_path: Path) -> None:
    with site_over(tmp_path / "data") as site:
        told = {role: site.send("GET", "/health", role).get_json() for role in Role}
    assert set(told[Role.NOBODY]) == {"status", "version"}
    for role in (Role.READ, Role.WRITE):
        assert set(told[role]) == {"status", "version", "database", "journal", "tasks", "integrations"}
        assert all(told[role][part] == {"status": "ok"} for part in ("database", "journal", "tasks"))
    assert {"depth", "bytes", "state", "oldestAgeMs"} == set(told[Role.ADMIN]["queue"])
    assert "trouble" in told[Role.ADMIN]["database"]
    assert SECRETS[Role.READ] not in json.dumps(told)
