"""Tests the image and docker-compose.yml: the one server and the profile `scale` are whole, safe and fit together."""

import re
from typing import Any

import pytest
from compose_file import (
    APP,
    ROOT,
    SCALE,
    STACK,
    check_confined,
    composition,
    filled_in,
    passed_settings,
    services,
    settings_in,
)

from afterwrite.access.opening import anonymous_role
from afterwrite.access.roles import Role
from afterwrite.base.settings import Settings, SettingsError
from afterwrite.storage.postgres.address import address_of

# What a container is given by docker-compose.yml and its image, or has no use for.
FIXED = {"HOST", "PORT", "PUBLISHED_HOST", "OWN_PROXIES", "DATA_DIR", "API_KEYS_FILE", "ENV_FILE", "LOG_FILE"}
FIXED |= {"LOG_STDERR", "DATABASE_URL", "DATABASE_DIRECT_URL", "RUN_WORKERS", "METRICS_PORT", "QUEUE_PREFIX"}
FIXED |= {"WAIT_SECONDS", "STOP_SECONDS", "TASK_STOP_SECONDS"}  # together they fit into stop_grace_period
FIXED |= {"PROCESS_ENGINE", "AMQP_URL", "REDIS_URL", "QUEUE_MAX_MESSAGES", "CALLBACK_HOURS"}  # of the stack
FIXED |= {f"AIRFLOW_{name}" for name in ("URL", "USERNAME", "PASSWORD", "PUBLIC_URL")}
PROGRAMS = ("app", "api", "worker")
OURS = (*PROGRAMS, "client")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _seconds(service: str) -> int:
    return int(services()[service]["stop_grace_period"].removesuffix("s"))


def test_without_a_profile_there_is_the_one_server() -> None:
    assert {name for name, service in services().items() if "profiles" not in service} == set(APP)
    for profile, names in (("scale", SCALE), ("stack", STACK)):
        assert {name for name, service in services().items() if profile in service.get("profiles", [])} == set(names)
    in_both = {name for name, service in services().items() if len(service.get("profiles", [])) > 1}
    assert in_both == {"postgres"}  # the same products, whichever of the two runs


@pytest.mark.parametrize("name", [*APP, *SCALE, "client"])
def test_no_container_may_more_than_it_needs(name: str) -> None:
    service = services()[name]
    check_confined(service)
    if name not in OURS:  # whose image has a user
        assert service["user"] == service["image"].partition(":")[0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_container_has_longer_to_stop_than_tasks_and_drain_may_take(name: str) -> None:
    assert _seconds(name) > settings_in(name).longest_stop_seconds + 15


@pytest.mark.parametrize("script", ["docker.sh", "docker.bat"])
def test_the_scripts_say_how_long_a_stop_takes(script: str) -> None:
    settings = settings_in("app")
    assert f"within {settings.stop_seconds + settings.task_stop_seconds} s" in _text(script)


def test_only_what_answers_requests_has_a_port_and_on_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    here = ["${PUBLISHED_HOST:-127.0.0.1}:${PORT:-5000}:5000"]
    assert {name for name, ports in published.items() if ports == here} == {"app", "nginx", "stack-api"}
    others = {name: [filled_in(port, {}) for port in ports] for name, ports in published.items() if ports != here}
    assert others == {"airflow-api-server": ["127.0.0.1:8080:8080"], "rabbitmq": ["127.0.0.1:15672:15672"]}
    opened = {"PUBLISHED_HOST": "0.0.0.0"}  # of the server's own port, and of no other
    assert all(filled_in(published[name][0], opened).startswith("127.0.0.1:") for name in others)


@pytest.mark.parametrize("name", ["app", "api"])
def test_a_server_is_open_only_where_this_machine_alone_reaches_it(name: str) -> None:
    settings = settings_in(name)
    assert settings.host == "0.0.0.0"  # so that others must be let in
    assert anonymous_role(settings, has_keys=False) is Role.ADMIN
    for given in ({"PUBLISHED_HOST": "0.0.0.0"}, {"PROXIES": "1"}):
        with pytest.raises(SettingsError, match="there are no keys"):
            anonymous_role(settings_in(name, **given), has_keys=False)


def test_the_api_believes_its_nginx_and_the_one_server_nobody() -> None:
    assert [settings_in(name).own_proxies for name in ("app", "api")] == [0, 1]


def test_every_setting_that_is_not_fixed_here_goes_to_every_program() -> None:
    names = [item.upper() for item in Settings.__dataclass_fields__]
    assert passed_settings() == [name for name in names if name not in FIXED]
    assert set(names) >= FIXED
    for name in ("api", "worker"):
        assert passed_settings(name) == passed_settings()


def test_api_and_workers_share_one_database_and_the_work() -> None:
    api, worker = settings_in("api"), settings_in("worker")
    assert api.database_url == worker.database_url
    assert (api.run_workers, services()["worker"]["command"]) == ("off", ["python", "-m", "afterwrite", "worker"])
    assert services()["api"]["scale"] == services()["worker"]["scale"] == 2
    address, postgres = address_of(api).url, services()["postgres"]["environment"]
    assert (address.host, address.port) == ("postgres", 5432)
    assert (address.username, address.database) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])


def test_every_api_container_reads_the_keys_that_docker_sh_makes() -> None:
    assert services()["api"]["volumes"] == services()["app"]["volumes"] == ["data:/data"]
    assert str(settings_in("api").data_dir) == str(settings_in("app").data_dir) == "/data"


def test_the_password_has_no_default_and_is_on_no_command_line() -> None:
    given = "${POSTGRES_PASSWORD:-}"
    assert services()["postgres"]["environment"]["POSTGRES_PASSWORD"] == given
    for name in ("api", "worker"):
        assert services()[name]["environment"]["PGPASSWORD"] == given
    assert "/.env" in [f"/{line}" for line in _text(".gitignore").splitlines()]
    assert ".*" in _text(".dockerignore").splitlines()


def test_nobody_but_api_and_workers_reaches_postgresql() -> None:
    reached = {name: services()[name].get("networks", ["default"]) for name in (*APP, *SCALE, "client")}
    assert {name for name, networks in reached.items() if "database" in networks} == {"api", "worker", "postgres"}
    assert reached["postgres"] == ["database"]
    assert composition()["networks"]["database"] == {"internal": True}


def test_api_and_workers_start_when_postgresql_answers() -> None:
    for name in ("api", "worker"):
        assert services()[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", ["nginx", "postgres"])
def test_what_is_not_ours_has_a_check_of_its_own(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] == "CMD"


def test_the_check_of_the_image_finds_a_container_of_workers() -> None:
    worker = settings_in("worker")
    assert worker.metrics_port == worker.port
    assert worker.host == "127.0.0.1"  # without keys, so for this container only


def test_commands_for_the_profile_are_run_where_nginx_is_at_the_address_of_the_server() -> None:
    client: dict[str, Any] = services()["client"]
    assert client["network_mode"] == "service:nginx"
    assert client["environment"] == {"API_KEY": None}  # as it is where docker.sh was called
    assert re.findall(r"listen (\d+);", _text("deploy/docker/nginx.conf")) == [str(settings_in("api").port)]


def test_the_image_runs_as_its_own_user_with_exec_forms() -> None:
    lines = [line.strip() for line in _text("Dockerfile").splitlines()]
    assert "FROM python:3.13-slim" in lines
    assert "USER afterwrite" in lines
    assert 'CMD ["python", "-m", "devkit.serve"]' in lines
    check = '["python", "-m", "devkit.health"]'
    assert any(line.startswith("HEALTHCHECK") and line.endswith(check) for line in lines)


def test_the_image_has_what_postgresql_needs() -> None:
    assert "--requirement requirements-stack.txt" in _text("Dockerfile")
    assert "-r requirements-postgres.txt" in _text("requirements-stack.txt").splitlines()
    assert "-r requirements.txt" in _text("requirements-postgres.txt").splitlines()
