"""The secrets of the Helm chart: made once, kept over upgrades, the same in every place, and right in URLs."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from chart_rendering import (
    RELEASE,
    SETS,
    Rendering,
    all_values,
    merged,
    render,
    secret_references,
    values_of,
    with_cluster,
    with_stand_in,
)
from helm_python import HelmError

SHARED = "afterwrite-airflow"
# What operators like to put into passwords, and URLs do not.
ODD = "p@s's/w:rd %+ä?#&\"$x\\"
FOR_AIRFLOW = {"connection", "fernet-key", "jwt-secret", "api-secret-key"}
GIVEN_TO_TASKS = {"DATABASE_URL", "AMQP_URL"}
ALSO_WHERE_SET = {"QUEUE_PREFIX", "QUEUE_MAX_MESSAGES", "TASK_PAYLOAD_MAX_BYTES"}
NAMES_OF_IT = ("fernetKeySecretName", "jwtSecretName", "apiSecretKeySecretName")
USERS = {"ADMIN_USERNAME", "ADMIN_PASSWORD", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"}


def existing(values: dict[str, Any]) -> set[str]:
    """The secrets that the values say are there already."""
    full = all_values(values)
    named = {full[part]["existingSecret"] for part in ("postgresql", "rabbitmq", "redis", "secrets")}
    named.add(full["externalAirflow"]["existingSecret"])
    if full["airflow"]["enabled"] and not full["airflowSecret"]["create"]:
        named.add(full["airflow"]["data"]["metadataSecretName"])
    return named - {""}


@pytest.mark.parametrize("name", SETS)
def test_every_key_of_a_secret_that_a_pod_asks_for_is_there(name: str) -> None:
    rendering = render(values_of(name))
    made, given = rendering.secrets(), existing(values_of(name))
    references = [found for item in rendering.manifests for found in secret_references(item)]
    assert len(references) > 8
    for found in references:
        secret = made.get(found["name"])
        if secret is None:
            assert found["name"] in given, found
        else:
            assert found["key"] in secret or found.get("optional"), found


@pytest.mark.parametrize("name", SETS)
def test_a_secret_that_is_there_already_is_not_made(name: str) -> None:
    assert not set(render(values_of(name)).secrets()) & existing(values_of(name))


@pytest.mark.parametrize("name", SETS)
def test_nothing_secret_is_outside_of_secrets(name: str) -> None:
    rendering = render(values_of(name))
    rest = yaml.safe_dump([item for item in rendering.manifests if item["kind"] != "Secret"]) + rendering.notes
    public = {"AIRFLOW_USERNAME", "ADMIN_USERNAME"}
    for secret in rendering.secrets().values():
        for key, value in secret.items():
            assert key in public or value not in rest, key


def test_passwords_are_long_and_of_their_own() -> None:
    secrets = render().secrets()
    made = [
        *(secrets[f"{RELEASE}-postgresql"][key] for key in ("password", "admin-password", "airflow-password")),
        secrets[f"{RELEASE}-rabbitmq"]["password"],
        secrets[f"{RELEASE}-redis"]["password"],
        *(secrets[f"{RELEASE}-program"][key] for key in ("admin-key", "WEBHOOK_SECRET")),
        *(secrets[SHARED][key] for key in ("jwt-secret", "api-secret-key", "AIRFLOW_PASSWORD", "ADMIN_PASSWORD")),
    ]
    assert len(set(made)) == len(made)
    assert min(map(len, made)) >= 40


def test_the_fernet_key_is_one() -> None:
    key = render().secrets()[SHARED]["fernet-key"]
    assert len(base64.urlsafe_b64decode(key)) == 32


def part_of(url: str) -> tuple[str, str | None, str | None, str | None, int | None, str]:
    parts = urlsplit(url)
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return parts.scheme, user, password, parts.hostname, parts.port, parts.path


@pytest.mark.parametrize("password", ["", ODD])
def test_the_urls_hold_the_password_of_their_part_encoded(password: str) -> None:
    values = {part: {"password": password} for part in ("postgresql", "rabbitmq", "redis")}
    values["postgresql"]["airflowPassword"] = password
    secrets = render(values).secrets()
    database, broker, cache = (secrets[f"{RELEASE}-{part}"] for part in ("postgresql", "rabbitmq", "redis"))
    if password:
        assert {item["password"] for item in (database, broker, cache)} == {password}
    own = ("afterwrite", database["password"], f"{RELEASE}-postgresql", 5432, "/afterwrite")
    assert part_of(database["DATABASE_URL"]) == ("postgresql+psycopg", *own)
    airflow = ("airflow", database["airflow-password"], f"{RELEASE}-postgresql", 5432, "/airflow")
    assert part_of(secrets[SHARED]["connection"]) == ("postgresql+psycopg2", *airflow)
    queues = ("afterwrite", broker["password"], f"{RELEASE}-rabbitmq", 5672, "/afterwrite")
    assert part_of(broker["AMQP_URL"]) == ("amqp", *queues)
    assert part_of(cache["REDIS_URL"]) == ("redis", "", cache["password"], f"{RELEASE}-redis", 6379, "/0")


def test_services_elsewhere_are_reached_as_the_values_say() -> None:
    values = values_of("external")
    rendering = render(values)
    secrets = rendering.secrets()
    url = secrets[f"{RELEASE}-postgresql"]["DATABASE_URL"]
    password = values["postgresql"]["password"]
    assert part_of(url) == ("postgresql+psycopg", "shop", password, "postgres.example.net", 6432, "/afterwrite")
    assert urlsplit(url).query == "sslmode=require"
    broker = secrets[f"{RELEASE}-rabbitmq"]["AMQP_URL"]
    password = values["rabbitmq"]["password"]
    assert part_of(broker) == ("amqps", "shop", password, "rabbitmq.example.net", 5671, "/shop%2Forders")
    assert set(secrets[f"{RELEASE}-postgresql"]) == {"password", "DATABASE_URL"}
    told = rendering.environment("worker")
    assert told["DATABASE_URL"] == url
    assert told["REDIS_URL"] == "<shop-redis/REDIS_URL>"
    assert told["AIRFLOW_URL"] == "https://airflow.example.net/airflow"
    assert rendering.environment("consumer")["AIRFLOW_PASSWORD"] == "<shop-airflow-user/AIRFLOW_PASSWORD>"
    assert rendering.environment("api")["API_KEYS"] == "<shop-keys/API_KEYS>"


def test_airflow_gets_no_parameters_that_one_of_its_drivers_would_refuse() -> None:
    here = {"airflow": {"enabled": True}, "postgresql": {"airflowPassword": ODD}}
    secrets = render(merged(values_of("external"), here)).secrets()
    assert part_of(secrets[SHARED]["connection"])[2:5] == (ODD, "postgres.example.net", 6432)
    assert urlsplit(secrets[SHARED]["connection"]).query == ""
    assert urlsplit(secrets[SHARED]["DATABASE_URL"]).query == "sslmode=require"


@pytest.mark.parametrize(
    ("external", "url"),
    [
        ({"host": "r.test"}, "redis://r.test:6379/0"),
        ({"host": "r.test", "tls": True, "port": 6380, "database": 3}, "rediss://r.test:6380/3"),
    ],
)
def test_a_redis_elsewhere_may_have_no_password(external: dict[str, Any], url: str) -> None:
    rendering = render({"redis": {"enabled": False, "external": external}})
    assert rendering.environment("api")["REDIS_URL"] == url


def test_the_user_of_an_airflow_elsewhere_may_be_given() -> None:
    external = {"url": "https://a.test/airflow/", "username": "shop", "password": ODD}
    rendering = render({"airflow": {"enabled": False}, "externalAirflow": external})
    told = rendering.environment("consumer")
    assert told["AIRFLOW_URL"] == "https://a.test/airflow"
    assert (told["AIRFLOW_USERNAME"], told["AIRFLOW_PASSWORD"]) == ("shop", ODD)
    assert SHARED not in rendering.secrets()


def test_real_payments_have_their_key_in_the_worker_alone() -> None:
    rendering = render({"secrets": {"stripeSecretKey": "sk_live_x"}})
    assert rendering.environment("worker")["STRIPE_SECRET_KEY"] == "sk_live_x"
    for part in ("api", "consumer", "notification"):
        assert "STRIPE_SECRET_KEY" not in rendering.environment(part)


def test_one_secret_signs_for_all_who_sign_and_verify() -> None:
    rendering = render()
    signing = {rendering.environment(part)["WEBHOOK_SECRET"] for part in ("api", "worker", "notification")}
    assert len(signing) == 1


def test_who_is_not_to_reach_a_store_does_not_know_its_password() -> None:
    told = render().environment("consumer")
    assert not {"DATABASE_URL", "REDIS_URL", "API_KEYS", "WEBHOOK_SECRET"} & set(told)


def as_cluster(rendering: Rendering) -> dict[str, dict[str, str]]:
    return {
        name: {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
        for name, secret in rendering.secrets().items()
    }


def test_what_was_made_at_the_install_is_kept_over_an_upgrade(tmp_path: Path) -> None:
    chart = with_cluster(tmp_path)
    first = render({}, chart)
    cluster = {"global": {"cluster": as_cluster(first)}}
    second = render(cluster, chart)
    assert second.secrets() == first.secrets()
    for part in ("api", "worker", "consumer", "notification", "redis"):
        before, after = (item.pods()[part]["metadata"]["annotations"] for item in (first, second))
        assert before == after, part
    # Without them everything is new: the test would see what was not kept.
    assert not set(_made(render({}, with_cluster(tmp_path / "other")))) & set(_made(first))


def _made(rendering: Rendering) -> list[str]:
    named = {"password", "admin-password", "admin-key", "fernet-key", "jwt-secret", "ADMIN_PASSWORD"}
    return [value for secret in rendering.secrets().values() for key, value in secret.items() if key in named]


def test_what_is_given_comes_before_what_was_kept(tmp_path: Path) -> None:
    chart = with_cluster(tmp_path)
    cluster = {"global": {"cluster": as_cluster(render({}, chart))}}
    secrets = render(merged(cluster, {"rabbitmq": {"password": ODD}}), chart).secrets()
    assert secrets[f"{RELEASE}-rabbitmq"]["password"] == ODD


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        ({}, set()),
        ({"secrets": {"webhookSecret": ODD}}, {"api", "worker", "notification"}),
        ({"airflowSecret": {"password": ODD}}, {"api", "worker", "consumer"}),
        ({"rabbitmq": {"password": ODD}}, {"api", "worker", "consumer", "notification"}),
        ({"redis": {"password": ODD}}, {"api", "worker", "notification", "redis"}),
    ],
)
def test_an_upgrade_makes_new_pods_of_those_whose_secret_changes(
    changed: dict[str, Any], concerned: set[str], tmp_path: Path
) -> None:
    chart = with_cluster(tmp_path)
    first = render({}, chart)
    cluster = {"global": {"cluster": as_cluster(first)}}
    second = render(merged(cluster, changed), chart)
    parts = ("api", "worker", "consumer", "notification", "redis")
    before, after = ({part: item.pods()[part]["metadata"] for part in parts} for item in (first, second))
    told = {part for part in parts if before[part] != after[part]}
    assert told == concerned


@pytest.mark.parametrize("name", SETS)
def test_passwords_outlive_an_uninstall_as_the_volumes_do(name: str) -> None:
    for item in render(values_of(name)).of("Secret"):
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_secret_that_airflow_shares_has_all_that_its_chart_asks_for() -> None:
    rendering, airflow = render(), all_values({})["airflow"]
    assert set(rendering.secrets()[SHARED]) == FOR_AIRFLOW | GIVEN_TO_TASKS | USERS
    named = {airflow[f"{key}SecretName"] for key in ("fernetKey", "jwt", "apiSecretKey")}
    assert named | {airflow["data"]["metadataSecretName"]} == {SHARED}
    asked = {item["name"]: item["valueFrom"]["secretKeyRef"] for item in airflow["createUserJob"]["env"]}
    assert asked == {name: {"name": SHARED, "key": name} for name in USERS}


def test_tasks_of_airflow_work_on_the_database_and_the_queues_of_the_stack(tmp_path: Path) -> None:
    settings = {"QUEUE_PREFIX": "blue.", "QUEUE_MAX_MESSAGES": 5_000_000, "TASK_PAYLOAD_MAX_BYTES": 1_000_000}
    rendering = render({"settings": settings}, with_stand_in(tmp_path))
    env = yaml.safe_load(rendering.config_maps()["airflow-stand-in"]["env"])
    asked = {item["name"]: item["valueFrom"]["secretKeyRef"] for item in env}
    assert set(asked) == GIVEN_TO_TASKS | ALSO_WHERE_SET
    assert {name for name, reference in asked.items() if reference.get("optional")} == ALSO_WHERE_SET
    secret = rendering.secrets()[SHARED]
    told = rendering.environment("worker")
    for name, reference in asked.items():
        assert (reference["name"], reference["key"]) == (SHARED, name)
        assert secret[name] == told[name]


def test_the_consumer_is_the_user_that_airflow_is_given() -> None:
    rendering = render()
    secret, told = rendering.secrets()[SHARED], rendering.environment("consumer")
    assert (told["AIRFLOW_USERNAME"], told["AIRFLOW_PASSWORD"]) == (
        secret["AIRFLOW_USERNAME"],
        secret["AIRFLOW_PASSWORD"],
    )
    script = all_values({})["airflow"]["createUserJob"]["args"][-1]
    assert 'make_user User "$AIRFLOW_USERNAME" "$AIRFLOW_PASSWORD"' in script


@pytest.mark.parametrize(
    ("release", "base_url", "url"),
    [
        ("demo", "/airflow/", "http://demo-airflow-api-server:8080/airflow"),
        ("my-airflow", "/airflow/", "http://my-airflow-api-server:8080/airflow"),
        ("demo", "https://afterwrite.example.com/flows/", "http://demo-airflow-api-server:8080/flows"),
    ],
)
def test_airflow_is_reached_under_the_path_that_it_is_served_at(release: str, base_url: str, url: str) -> None:
    rendering = render({"airflow": {"config": {"api": {"base_url": base_url}}}}, release=release)
    [consumer] = [item for item in rendering.of("Deployment") if item["metadata"]["name"] == f"{release}-consumer"]
    told = consumer["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "AIRFLOW_URL", "value": url} in told
    [ingress] = rendering.of("Ingress")
    paths = {path["path"]: path["backend"]["service"]["name"] for path in ingress["spec"]["rules"][0]["http"]["paths"]}
    path = urlsplit(url).path
    assert paths[path] == urlsplit(url).hostname


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"airflow": {"jwtSecretName": "other"}}, 'airflow.jwtSecretName is "other"'),
        ({"airflow": {"data": {"metadataSecretName": "other"}}}, "name the one secret"),
        (
            {"airflow": dict.fromkeys(NAMES_OF_IT, "other") | {"data": {"metadataSecretName": "other"}}},
            'airflow.createUserJob.env takes ADMIN_USERNAME from the secret "afterwrite-airflow"',
        ),
        ({"postgresql": {"existingSecret": "db"}}, 'postgresql.existingSecret is "db"'),
        ({"rabbitmq": {"existingSecret": "mq"}}, 'rabbitmq.existingSecret is "mq"'),
        (
            {"postgresql": {"enabled": False, "password": "x", "external": {"host": "db.test"}}},
            "postgresql.airflowPassword is empty",
        ),
        ({"airflow": {"config": {"api": {"base_url": "https://b.test/airflow/"}}}}, 'at the host "b.test"'),
        ({"api": {"autoscaling": {"minReplicas": 9}}}, "api.autoscaling.minReplicas is 9 and maxReplicas 6"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmError) as refused:
        render(values)
    assert said in str(refused.value)
