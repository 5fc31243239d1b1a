"""Tests the profile `stack` of docker-compose.yml and the image of Airflow: whole, safe, and of one mind."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from compose_file import (
    AIRFLOW,
    ONCE,
    ROOT,
    SECRETS,
    STACK,
    STACK_PROGRAMS,
    check_confined,
    composition,
    environment_of,
    filled_in,
    passed_settings,
    services,
    settings_in,
)

from afterwrite.access.opening import anonymous_role
from afterwrite.access.roles import Role
from afterwrite.base.settings import Settings, SettingsError
from afterwrite.programs.command_line import PROGRAMS
from afterwrite.storage.postgres.address import address_of

SETTINGS = {name.upper() for name in Settings.__dataclass_fields__}
OF_THE_STACK = {"PROCESS_ENGINE", "AMQP_URL", "REDIS_URL", "AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"}

GIVEN = {name: f"secret-{name.lower().replace('_', '-')}" for name in sorted(SECRETS)}
OF_PSYCOPG = {"PGPASSWORD"}  # read by libpq
OFFICIAL = {name for name in STACK if "build" not in services()[name]}
RUNNING = [name for name in STACK if name not in ONCE]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def airflow_image() -> dict[str, str]:
    """The environment of the image of Airflow."""
    return dict(re.findall(r"([A-Z_]+)=(\S+)", _text("Dockerfile.airflow").partition("\nENV ")[2]))


def conditions(name: str) -> dict[str, str]:
    """What a service waits for when it is started."""
    waits: dict[str, dict[str, str]] = services()[name].get("depends_on", {})
    return {other: told["condition"] for other, told in waits.items()}


# No more than it needs


@pytest.mark.parametrize("name", STACK)
def test_no_container_may_more_than_it_needs(name: str) -> None:
    service = services()[name]
    check_confined(service)
    if name in OFFICIAL:  # the others' images have a user
        assert service["user"] == service["image"].partition(":")[0]
        assert re.fullmatch(r"\d.*", service["image"].partition(":")[2])  # pinned to a version


@pytest.mark.parametrize("name", sorted({*STACK} - {"postgres", "airflow-database"}))
def test_what_runs_beside_the_database_has_a_limit_of_memory(name: str) -> None:
    assert re.fullmatch(r"\d+[mg]", services()[name]["mem_limit"])


def test_redis_and_rabbitmq_stop_growing_below_the_limit_of_their_containers() -> None:
    """RabbitMQ does not see it everywhere, and Redis nowhere: they would be killed instead."""
    [megabytes] = re.findall(r"--maxmemory (\d+)mb", "".join(services()["redis"]["command"]))
    assert int(megabytes) * 2 <= int(services()["redis"]["mem_limit"].removesuffix("m"))
    [mebibytes] = re.findall(r"vm_memory_high_watermark\.absolute = (\d+)MiB", _text("deploy/docker/rabbitmq.conf"))
    assert services()["rabbitmq"]["mem_limit"] == "1g"
    assert int(mebibytes) < 1024 * 0.7


@pytest.mark.parametrize("name", STACK)
def test_everything_but_what_ends_comes_back_after_a_failure(name: str) -> None:
    assert services()[name]["restart"] == ("no" if name in ONCE else "unless-stopped")


@pytest.mark.parametrize("name", STACK)
def test_only_the_database_the_queues_and_outgoing_calls_are_reached_where_needed(name: str) -> None:
    outside, database, stack = "default", "database", "stack"
    assert (
        set(services()[name]["networks"])
        == {
            "stack-api": {outside, database, stack},
            "stack-worker": {outside, database, stack},
            "consumer": {stack},
            "notification": {outside, database, stack},
            "airflow-api-server": {outside, database, stack},
            "airflow-scheduler": {database, stack},
            "airflow-dag-processor": {database},
            "airflow-migrate": {database},
            "airflow-database": {database},
            "rabbitmq": {outside, stack},
            "redis": {stack},
            "postgres": {database},
        }[name]
    )


def test_the_networks_of_database_and_queues_lead_nowhere_else() -> None:
    assert composition()["networks"] == {"database": {"internal": True}, "stack": {"internal": True}}


@pytest.mark.parametrize("name", RUNNING)
def test_what_must_outlive_its_container_is_in_a_named_volume(name: str) -> None:
    named = [volume.partition(":") for volume in services()[name].get("volumes", []) if volume[0] != "."]
    kept = {place.partition(":")[0] for _volume, _colon, place in named}
    assert {volume for volume, _colon, _place in named} <= composition()["volumes"].keys()
    assert kept == {
        "stack-api": {"/data"},
        "postgres": {"/var/lib/postgresql/data"},
        "rabbitmq": {"/var/lib/rabbitmq"},
        "redis": {"/data"},
        **{part: {"/opt/airflow/logs"} for part in AIRFLOW},
    }.get(name, set())


def test_files_that_are_mounted_exist_and_stay_as_they_are() -> None:
    mounted = [volume for name in STACK for volume in services()[name].get("volumes", []) if volume[0] == "."]
    assert len(mounted) == 2
    for volume in mounted:
        source, _place, mode = volume.split(":")
        assert (ROOT / source).is_file()
        assert mode == "ro"


def test_rabbitmq_keeps_its_name_since_its_data_belongs_to_it() -> None:
    assert services()["rabbitmq"]["hostname"] == "rabbitmq"


# Health and order


@pytest.mark.parametrize("name", [*AIRFLOW, "rabbitmq", "redis", "postgres"])
def test_what_is_not_ours_has_a_check_of_its_own(name: str) -> None:
    check = services()[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert check["retries"] >= 3
    assert int(check["timeout"].removesuffix("s")) <= int(check["interval"].removesuffix("s")) * 2


@pytest.mark.parametrize("name", ["stack-worker", "consumer", "notification"])
def test_the_check_of_the_image_finds_a_container_that_serves_no_requests(name: str) -> None:
    settings = settings_in(name)
    assert "healthcheck" not in services()[name]
    assert settings.metrics_port == settings.port
    assert settings.host == "127.0.0.1"  # without keys, so for this container only


@pytest.mark.parametrize("name", STACK_PROGRAMS)
def test_a_container_has_longer_to_stop_than_tasks_and_drain_may_take(name: str) -> None:
    assert int(services()[name]["stop_grace_period"].removesuffix("s")) > settings_in(name).longest_stop_seconds + 15


def test_each_part_starts_when_those_before_it_are_there() -> None:
    healthy, ended = "service_healthy", "service_completed_successfully"
    assert {name: conditions(name) for name in STACK if conditions(name)} == {
        "stack-api": {"postgres": healthy},
        "stack-worker": {"postgres": healthy, "rabbitmq": healthy, "redis": healthy},
        "consumer": {"rabbitmq": healthy, "airflow-api-server": healthy},
        "notification": {"postgres": healthy, "rabbitmq": healthy, "redis": healthy},
        "airflow-database": {"postgres": healthy},
        "airflow-migrate": {"airflow-database": ended},
        **{name: {"airflow-migrate": ended} for name in AIRFLOW},
    }


@pytest.mark.parametrize("name", STACK)
def test_nothing_is_waited_for_that_has_no_check_or_never_ends(name: str) -> None:
    for other, condition in conditions(name).items():
        checked = "healthcheck" in services()[other]
        assert checked is (condition == "service_healthy"), other
        assert (other in ONCE) is (condition != "service_healthy"), other


def test_what_docker_sh_starts_brings_everything_else() -> None:
    [named] = re.findall(r"up --detach (stack-api .*)", _text("docker.sh"))
    started, waiting = set(), named.split()
    while waiting:
        name = waiting.pop()
        started.add(name)
        waiting += conditions(name)
    assert started == set(STACK)


# Settings


@pytest.mark.parametrize("name", STACK_PROGRAMS)
def test_each_program_is_given_settings_that_exist(name: str) -> None:
    assert environment_of(name).keys() - OF_PSYCOPG <= SETTINGS


@pytest.mark.parametrize("name", STACK_PROGRAMS)
def test_each_program_reads_its_settings_without_complaint(name: str) -> None:
    assert settings_in(name, **GIVEN).log_file == "off"  # docker.sh logs shows the logs of all


def test_settings_that_are_passed_on_go_to_every_program_with_a_database() -> None:
    own = {"QUEUE_MAX_MESSAGES", "CALLBACK_HOURS"}
    for name in ("stack-api", "stack-worker", "notification"):
        assert set(passed_settings(name)) - SECRETS == {*passed_settings("app"), *own}


def test_programs_that_run_exist() -> None:
    for name in STACK_PROGRAMS:
        if command := services()[name].get("command"):
            assert command[:3] == ["python", "-m", "afterwrite"]
            assert command[3] in PROGRAMS


def test_the_consumer_gets_what_it_needs_and_no_secret_of_others() -> None:
    environment = environment_of("consumer", **GIVEN)
    assert {name for name in SECRETS if GIVEN[name] in " ".join(environment.values())} == {
        "RABBITMQ_PASSWORD",
        "AIRFLOW_PASSWORD",
    }
    assert environment.keys() >= {"AMQP_URL", "AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"}
    assert not environment.keys() & {"DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY", "WEBHOOK_SECRET", "API_KEYS"}


def test_processes_run_in_airflow_only_with_the_stack() -> None:
    for name in ("stack-api", "stack-worker", "notification"):
        assert environment_of(name)["PROCESS_ENGINE"] == "airflow"
    for name in ("app", "api", "worker"):
        assert not environment_of(name).keys() & OF_THE_STACK


def test_the_api_leaves_tasks_to_the_worker_and_reads_the_keys_of_the_other_kinds() -> None:
    assert (settings_in("stack-api").run_workers, settings_in("stack-worker").run_workers) == ("off", "on")
    assert services()["stack-api"]["volumes"] == services()["app"]["volumes"]
    assert settings_in("stack-api").own_proxies == 0


def test_the_api_is_open_only_where_this_machine_alone_reaches_it() -> None:
    assert anonymous_role(settings_in("stack-api"), has_keys=False) is Role.ADMIN
    with pytest.raises(SettingsError, match="there are no keys"):
        anonymous_role(settings_in("stack-api", PUBLISHED_HOST="0.0.0.0"), has_keys=False)


# One mind


@pytest.mark.parametrize("name", ["stack-api", "stack-worker", "notification", "airflow-scheduler"])
def test_all_that_use_the_products_have_the_same_database(name: str) -> None:
    environment, postgres = environment_of(name, **GIVEN), environment_of("postgres", **GIVEN)
    assert environment["DATABASE_URL"] == environment_of("api")["DATABASE_URL"]
    assert environment["PGPASSWORD"] == postgres["POSTGRES_PASSWORD"] == GIVEN["POSTGRES_PASSWORD"]
    address = address_of(settings_in("stack-api")).url
    assert (address.username, address.database) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])


@pytest.mark.parametrize("name", [*STACK_PROGRAMS, "airflow-scheduler"])
def test_all_that_use_the_queues_sign_in_as_rabbitmq_knows_them(name: str) -> None:
    address, rabbitmq = (urlsplit(environment_of(name, **GIVEN)["AMQP_URL"]), environment_of("rabbitmq", **GIVEN))
    assert (address.scheme, address.hostname, address.port) == ("amqp", "rabbitmq", 5672)
    assert address.username == rabbitmq["RABBITMQ_DEFAULT_USER"]
    assert address.password == rabbitmq["RABBITMQ_DEFAULT_PASS"] == GIVEN["RABBITMQ_PASSWORD"]
    assert address.path == "/" + rabbitmq["RABBITMQ_DEFAULT_VHOST"]


@pytest.mark.parametrize("name", ["stack-api", "stack-worker", "notification"])
def test_all_that_use_redis_have_its_password(name: str) -> None:
    address = urlsplit(environment_of(name, **GIVEN)["REDIS_URL"])
    assert (address.scheme, address.hostname, address.port) == ("redis", "redis", 6379)
    assert address.password == environment_of("redis", **GIVEN)["REDIS_PASSWORD"] == GIVEN["REDIS_PASSWORD"]


def test_redis_does_not_start_without_a_password_and_keeps_it_from_its_command_line() -> None:
    shell, flags, script = services()["redis"]["command"]
    assert (shell, flags) == ("sh", "-euc")
    assert "$${REDIS_PASSWORD:?" in script
    [started] = [line for line in script.splitlines() if line.startswith("exec")]
    assert "PASSWORD" not in started


def test_no_secret_has_a_default_or_is_on_a_command_line() -> None:
    text = _text("docker-compose.yml")
    for secret in SECRETS:
        assert set(re.findall(rf"(?<!\$)\$\{{{secret}\b[^}}]*\}}", text)) == {f"${{{secret}:-}}"}
    for name in STACK:
        told = str([services()[name].get(key) for key in ("command", "healthcheck")])
        assert not [secret for secret in SECRETS if f"${{{secret}:-" in told]


@pytest.mark.parametrize("name", ["airflow-migrate", *AIRFLOW])
def test_every_part_of_airflow_has_the_same_database_keys_and_users(name: str) -> None:
    first, own = environment_of("airflow-migrate", **GIVEN), environment_of(name, **GIVEN)
    shared = {variable for variable in first if variable.startswith("AIRFLOW__")}
    assert {variable for variable in own if variable.startswith("AIRFLOW__")} == shared
    assert {variable: own[variable] for variable in shared} == {variable: first[variable] for variable in shared}
    for variable, secret in (
        ("AIRFLOW__API__SECRET_KEY", "AIRFLOW_SECRET_KEY"),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW_JWT_SECRET"),
        ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW_FERNET_KEY"),
    ):
        assert own[variable] == GIVEN[secret]
    assert services()[name]["image"] == "afterwrite-airflow"
    assert services()[name]["build"]["dockerfile"] == "Dockerfile.airflow"


def test_airflow_has_a_database_of_its_own_with_the_role_that_is_made_for_it() -> None:
    address = urlsplit(environment_of("airflow-migrate", **GIVEN)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    assert (address.hostname, address.username, address.path) == ("postgres", "airflow", "/airflow")
    maker = environment_of("airflow-database", **GIVEN)
    assert address.password == maker["AIRFLOW_DATABASE_PASSWORD"] == GIVEN["AIRFLOW_DATABASE_PASSWORD"]
    assert (maker["PGUSER"], maker["PGPASSWORD"]) == ("afterwrite", GIVEN["POSTGRES_PASSWORD"])
    made = _text("deploy/docker/airflow_database.sql")
    assert "\\getenv password AIRFLOW_DATABASE_PASSWORD" in made
    assert "ALTER ROLE airflow PASSWORD :'password';" in made
    assert "CREATE DATABASE airflow OWNER airflow" in made


def test_the_consumer_calls_airflow_where_it_is_with_the_user_that_is_made() -> None:
    consumer, maker = environment_of("consumer", **GIVEN), environment_of("airflow-migrate", **GIVEN)
    assert consumer["AIRFLOW_URL"] == "http://airflow-api-server:8080"
    assert maker["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"{consumer['AIRFLOW_URL']}/execution/"
    for name in ("AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"):
        assert consumer[name] == maker[name] != ""
    assert maker["AIRFLOW_ADMIN_PASSWORD"] != maker["AIRFLOW_PASSWORD"]
    for name in ("stack-api", "stack-worker"):  # which look at the runs
        for variable in ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"):
            assert environment_of(name, **GIVEN)[variable] == environment_of("consumer", **GIVEN)[variable]


def test_links_of_the_console_lead_to_the_port_of_airflow() -> None:
    public = environment_of("stack-api")["AIRFLOW_PUBLIC_URL"]
    [port] = services()["airflow-api-server"]["ports"]
    assert public == "http://" + filled_in(port, {}).rpartition(":")[0]
    assert environment_of("airflow-api-server")["AIRFLOW__API__BASE_URL"] == public
    given = {"AIRFLOW_PUBLIC_URL": "https://airflow.example"}
    assert environment_of("airflow-api-server", **given)["AIRFLOW__API__BASE_URL"] == "https://airflow.example"
    assert environment_of("stack-api", **given)["AIRFLOW_PUBLIC_URL"] == "https://airflow.example"


@pytest.mark.parametrize("name", AIRFLOW)
def test_each_part_of_airflow_runs_what_it_is_named_for(name: str) -> None:
    assert services()[name]["command"] == [name.removeprefix("airflow-")]


# The image of Airflow


def test_the_image_of_airflow_cannot_replace_the_airflow_of_its_base() -> None:
    text = _text("Dockerfile.airflow")
    [version] = re.findall(r"^FROM apache/airflow:([\d.]+)-python3\.12$", text, re.MULTILINE)
    assert f"apache-airflow=={version} --requirement" in text


def test_the_image_of_airflow_runs_as_its_own_user_who_cannot_change_the_code() -> None:
    users = re.findall(r"^USER (\w+)$", _text("Dockerfile.airflow"), re.MULTILINE)
    assert users[-1] == "airflow"
    lines = _text("Dockerfile.airflow").splitlines()
    assert lines.index("COPY . /opt/afterwrite") > lines.index("USER root")


def test_the_image_of_airflow_finds_the_dag_and_what_it_imports() -> None:
    image = airflow_image()
    assert image["PYTHONPATH"] == "/opt/afterwrite"
    assert image["AIRFLOW__CORE__DAGS_FOLDER"] == "/opt/afterwrite/afterwrite/jobs/dags"
    assert image["AIRFLOW__CORE__LOAD_EXAMPLES"] == image["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"


def test_the_users_are_made_after_the_schema_by_a_program_in_the_image() -> None:
    [script] = re.findall(r"/opt/afterwrite/(\S+)", services()["airflow-migrate"]["command"][-1])
    assert services()["airflow-migrate"]["command"][-1].startswith("airflow db migrate && python ")
    assert (ROOT / script).is_file()
    assert f"!/{script}" in _text(".dockerignore").splitlines()


@pytest.mark.parametrize("name", ["requirements-airflow.txt", "requirements-stack.txt"])
def test_the_requirements_are_pinned_and_agree(name: str) -> None:
    lines = [line for line in _text(name).splitlines() if line and line[0] not in "#-"]
    pins: dict[str, Any] = dict(line.split("==") for line in lines)
    names = ("requirements.txt", "requirements-stack.txt", "requirements-postgres.txt")
    everywhere = "".join(map(_text, names))
    for package, version in pins.items():
        assert f"\n{package}=={version}\n" in f"\n{everywhere}\n"


def test_tasks_of_a_scheduler_that_was_killed_are_found_sooner_than_by_default() -> None:
    environment = environment_of("airflow-scheduler")
    found_again = int(environment["AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL"])
    assert found_again <= settings_in("stack-worker").task_lock_seconds
    silent = int(environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"])
    assert silent == settings_in("stack-worker").task_lock_seconds
