"""The pods of the Helm chart: what they may, what they ask for, what they are told, and how long they have to stop."""

from typing import Any

import pytest
from chart_rendering import (
    KNOWN_SETTINGS,
    PROGRAMS,
    RELEASE,
    SETS,
    Rendering,
    containers,
    merged,
    render,
    secret_references,
    values_of,
)
from psycopg.conninfo import conninfo_to_dict
from redis.asyncio.connection import parse_url
from yarl import URL

from afterwrite.access.keys import hash_of, keys_of_setting
from afterwrite.base.settings import Settings, from_environment
from afterwrite.storage.postgres.address import address_of

# The pods that run a program of the project, and what the contract says that each needs.
OF_THE_PROJECT = (*PROGRAMS, "migration", "test")
EVERYWHERE = {"DATA_DIR", "LOG_FILE", "HOST", "AIRFLOW_PUBLIC_URL", "LOG_FORMAT"}
ON_TASKS = {"DATABASE_URL", "PROCESS_ENGINE", "AMQP_URL", "REDIS_URL", "WEBHOOK_SECRET"}
OF_AIRFLOW = {"AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"}
NEEDED = {
    "api": ON_TASKS | OF_AIRFLOW | {"API_KEYS", "PORT", "RUN_WORKERS", "PROXIES"},
    "worker": ON_TASKS | OF_AIRFLOW | {"METRICS_PORT"},
    "consumer": OF_AIRFLOW | {"AMQP_URL", "METRICS_PORT"},
    "notification": ON_TASKS | {"METRICS_PORT"},
}


def every_container() -> list[Any]:
    found = []
    for name in SETS:
        for pod, manifest in render(values_of(name)).pods().items():
            found += [pytest.param(manifest, item, id=f"{name}-{pod}-{item['name']}") for item in containers(manifest)]
    return found


def every_pod() -> list[Any]:
    return [
        pytest.param(manifest, id=f"{name}-{pod}")
        for name in SETS
        for pod, manifest in render(values_of(name)).pods().items()
    ]


@pytest.mark.parametrize("pod", every_pod())
def test_a_pod_is_no_root_and_has_no_token(pod: dict[str, Any]) -> None:
    security = pod["spec"]["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["runAsGroup"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"])
    assert not [volume for volume in pod["spec"].get("volumes", []) if "hostPath" in volume]


@pytest.mark.parametrize(("pod", "container"), every_container())
def test_a_container_may_nothing_and_writes_where_it_must_only(pod: dict[str, Any], container: dict[str, Any]) -> None:
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])} | {"data"}
    assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes


@pytest.mark.parametrize(("pod", "container"), every_container())
def test_a_container_asks_for_what_it_needs_and_has_a_limit(pod: dict[str, Any], container: dict[str, Any]) -> None:
    for kind in ("requests", "limits"):
        assert set(container["resources"][kind]) >= {"cpu", "memory"}


@pytest.mark.parametrize("name", SETS)
def test_what_goes_on_is_probed(name: str) -> None:
    for item in render(values_of(name)).of("Deployment", "StatefulSet"):
        for container in item["spec"]["template"]["spec"]["containers"]:
            assert set(container) >= {"startupProbe", "readinessProbe", "livenessProbe"}


@pytest.mark.parametrize("part", PROGRAMS)
def test_a_program_is_asked_at_the_port_on_which_it_answers(part: str) -> None:
    rendering = render()
    [container] = rendering.pods()[part]["spec"]["containers"]
    [port] = container["ports"]
    told = rendering.environment(part)
    assert str(port["containerPort"]) == told["PORT" if part == "api" else "METRICS_PORT"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": port["name"]}
    ready = "/ready" if part == "api" else "/health"
    assert container["readinessProbe"]["httpGet"] == {"path": ready, "port": port["name"]}


@pytest.mark.parametrize("name", SETS)
def test_every_variable_of_a_program_is_a_setting(name: str) -> None:
    rendering = render(values_of(name))
    for part in OF_THE_PROJECT:
        if part in rendering.pods():
            assert set(rendering.environment(part)) <= KNOWN_SETTINGS, part


@pytest.mark.parametrize("part", PROGRAMS)
def test_a_program_is_told_what_it_needs_and_nothing_else(part: str) -> None:
    assert set(render().environment(part)) == NEEDED[part] | EVERYWHERE


def settings_of(rendering: Rendering, part: str) -> Settings:
    """What the program itself makes of its environment; refuses what it would refuse."""
    told = rendering.environment(part)
    return from_environment(told)


@pytest.mark.parametrize("name", ["default", "minimal"])
@pytest.mark.parametrize("part", PROGRAMS)
def test_the_program_takes_its_settings(part: str, name: str) -> None:
    settings = settings_of(render(values_of(name)), part)
    assert settings.log_path is None
    assert str(settings.data_dir) == "/data"
    assert settings.host == "0.0.0.0"
    if "DATABASE_URL" in NEEDED[part]:
        assert address_of(settings).url.host == f"{RELEASE}-postgresql"


@pytest.mark.parametrize("password", ["two words", "p@s's/w:rd %+ä?#&\"$x\\"])
def test_the_clients_read_the_password_that_was_given_out_of_their_urls(password: str) -> None:
    values = {part: {"password": password} for part in ("postgresql", "rabbitmq", "redis")}
    settings = settings_of(render(values), "worker")
    assert conninfo_to_dict(address_of(settings).conninfo)["password"] == password
    broker = URL(settings.amqp_url)
    assert (broker.host, broker.password, broker.path) == (f"{RELEASE}-rabbitmq", password, "/afterwrite")
    assert parse_url(settings.redis_url)["password"] == password


def test_the_api_has_the_key_of_an_admin_and_believes_one_proxy() -> None:
    rendering = render()
    settings = settings_of(rendering, "api")
    [key] = keys_of_setting(settings.api_keys)
    assert key.hash == hash_of(rendering.secrets()["demo-program"]["admin-key"])
    assert key.role.word == "admin"
    assert settings.proxies == 1
    assert settings.run_workers == "off"
    assert settings_of(render({"ingress": {"proxies": 2}}), "api").proxies == 2
    assert settings_of(render({"ingress": {"enabled": False}}), "api").proxies == 0


def test_keys_that_are_given_stand_beside_the_generated_one() -> None:
    line = f"ann:write:{hash_of('secret')}"
    settings = settings_of(render({"secrets": {"apiKeys": [line]}}), "api")
    assert [key.name for key in keys_of_setting(settings.api_keys)] == ["chart-admin", "ann"]


def test_large_numbers_come_to_the_program_as_they_were_written() -> None:
    values = {
        "settings": {"QUEUE_MAX_WRITES": 2_000_000, "TASKS_MAX": 123_456_789},
        "worker": {"settings": {"TASK_PAYLOAD_MAX_BYTES": 60_000_000}},
    }
    settings = settings_of(render(values), "worker")
    assert (settings.queue_max_writes, settings.tasks_max) == (2_000_000, 123_456_789)
    assert settings.task_payload_max_bytes == 60_000_000


def test_a_setting_of_one_program_comes_before_that_of_all() -> None:
    rendering = render({"settings": {"LOG_LEVEL": "info"}, "api": {"settings": {"LOG_LEVEL": "debug"}}})
    assert settings_of(rendering, "api").log_level == "debug"
    assert settings_of(rendering, "worker").log_level == "info"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"settings": {"STOP_SECONDS": 300, "TASK_STOP_SECONDS": 0}},
        {"settings": {"WAIT_SECONDS": 60}, "worker": {"settings": {"TASK_STOP_SECONDS": 600}}},
    ],
)
@pytest.mark.parametrize("part", PROGRAMS)
def test_a_pod_is_killed_after_the_longest_stop_and_not_before(part: str, values: dict[str, Any]) -> None:
    rendering = render(values)
    spec = rendering.pods()[part]["spec"]
    ends = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    longest = settings_of(rendering, part).longest_stop_seconds
    # Granian gives its processes ten seconds more (serving.py).
    assert longest + int(ends[1]) + 10 <= spec["terminationGracePeriodSeconds"] <= longest + 60


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("part", PROGRAMS)
def test_a_changed_setting_makes_new_pods(part: str, name: str) -> None:
    def annotations(values: dict[str, Any]) -> Any:
        return render(values).pods()[part]["metadata"]["annotations"]["checksum/settings"]

    values = values_of(name)
    assert annotations(values) != annotations(merged(values, {"settings": {"LOG_LEVEL": "debug"}}))


@pytest.mark.parametrize("part", ["api", "worker", "consumer", "notification", "redis"])
def test_a_changed_password_makes_new_pods_of_those_who_use_it(part: str) -> None:
    given = {
        "postgresql": {"password": "a", "adminPassword": "a", "airflowPassword": "a"},
        "rabbitmq": {"password": "a"},
        "redis": {"password": "a"},
    }

    def checksum(values: dict[str, Any]) -> str:
        found = render(values).pods()[part]["metadata"]["annotations"]["checksum/secrets"]
        return str(found)

    # What is generated differs at each rendering without a cluster, so all of it is given.
    fixed = {
        "secrets": {"existingSecret": "keys"},
        "airflow": {"enabled": False},
        "externalAirflow": {"url": "http://a.test/x", "username": "a", "password": "a"},
    }
    values = merged(given, fixed)
    assert checksum(values) == checksum(merged(values, {"networkPolicy": {"enabled": False}}))
    used = {item["name"] for item in secret_references(render(values).pods()[part])}
    for other in ("postgresql", "rabbitmq", "redis"):
        changed = checksum(merged(values, {other: {"password": "b"}})) != checksum(values)
        assert changed == (f"{RELEASE}-{other}" in used), other


def test_what_a_container_of_the_stores_writes_is_a_volume() -> None:
    mounted = {
        part: {mount["mountPath"] for mount in render().pods()[part]["spec"]["containers"][0]["volumeMounts"]}
        for part in ("postgresql", "rabbitmq", "redis")
    }
    assert mounted["postgresql"] >= {"/var/lib/postgresql/data", "/var/run/postgresql", "/tmp", "/dev/shm"}
    assert mounted["rabbitmq"] >= {"/var/lib/rabbitmq", "/var/lib/rabbitmq/mnesia", "/tmp"}
    assert mounted["redis"] >= {"/tmp"}


def test_arguments_and_places_are_handed_on() -> None:
    values = {
        "worker": {
            "args": ["--types", "entry"],
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "podLabels": {"team": "shop"},
            "podAnnotations": {"note": "this"},
        },
        "imagePullSecrets": [{"name": "registry"}],
    }
    pod = render(values).pods()["worker"]
    assert pod["spec"]["containers"][0]["args"] == ["--types", "entry"]
    assert pod["spec"]["nodeSelector"] == {"disk": "fast"}
    assert pod["spec"]["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["metadata"]["labels"]["team"] == "shop"
    assert pod["metadata"]["annotations"]["note"] == "this"
