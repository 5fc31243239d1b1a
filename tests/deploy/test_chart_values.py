"""values.schema.json refuses what cannot be meant, and says which value it is about."""

import json
from dataclasses import Field, fields
from typing import Any

import helm_python
import pytest
from chart_rendering import CHART, KNOWN_SETTINGS, SETS, all_values, bare, render, values_of
from helm_python import HelmError

from afterwrite.base.settings import Settings

_PLACES = {"HOST", "PORT", "METRICS_PORT", "DATA_DIR", "LOG_FILE", "LOG_STDERR", "API_KEYS_FILE"}
_ROLES = {"RUN_WORKERS", "PROCESS_ENGINE", "PUBLISHED_HOST", "PROXIES", "OWN_PROXIES"}
_STORES = {"DATABASE_URL", "DATABASE_DIRECT_URL", "AMQP_URL", "REDIS_URL", "AIRFLOW_URL", "AIRFLOW_PUBLIC_URL"}
_SECRETS = {"STRIPE_SECRET_KEY", "WEBHOOK_SECRET", "API_KEYS", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"}
# What the chart works out itself, or keeps in secrets.
OF_THE_CHART = frozenset(_PLACES | _ROLES | _STORES | _SECRETS)
# They are about files that a container does not have.
OF_A_FOLDER = frozenset({"JOURNAL_SYNC", "ENV_FILE"})
EXTERNAL = values_of("external")


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(HelmError) as refused:
        render(values)
    return str(refused.value)


@pytest.mark.parametrize("name", SETS)
def test_the_defaults_and_the_examples_are_taken(name: str) -> None:
    with helm_python.Chart.load(bare()) as chart:
        chart.validate_schema(values_of(name))


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"postgres": {"enabled": False}}, "'postgres'"),
        ({"api": {"replica": 2}}, "'replica'"),
        ({"ingress": {"hosts": ["a.test"]}}, "'hosts'"),
        ({"settings": {"LOG_LEVLE": "debug"}}, "'LOG_LEVLE'"),
        ({"settings": {"DATABASE_URL": "postgresql://x"}}, "'DATABASE_URL'"),
        ({"worker": {"settings": {"PORT": 80}}}, "'PORT'"),
        ({"settings": {"LOG_LEVEL": "loud"}}, "'/settings/LOG_LEVEL'"),
        ({"settings": {"THREADS": 0}}, "'/settings/THREADS': minimum: got 0, want 2"),
        ({"settings": {"THREADS": "many"}}, "'/settings/THREADS'"),
        ({"api": {"replicas": 0}}, "'/api/replicas': minimum: got 0, want 1"),
        ({"consumer": {"replicas": -1}}, "'/consumer/replicas': minimum: got -1, want 1"),
        ({"notification": {"replicas": 1.5}}, "'/notification/replicas'"),
        ({"worker": {"replicas": "two"}}, "'/worker/replicas'"),
        ({"worker": {"autoscaling": {"maxReplicas": 0}}}, "'/worker/autoscaling/maxReplicas'"),
        ({"api": {"autoscaling": {"cpuPercent": 400}}}, "'/api/autoscaling/cpuPercent'"),
        ({"api": {"resources": {"limits": {"cpu": "lots"}}}}, "'/api/resources/limits/cpu'"),
        ({"api": {"resources": {"limits": None}}}, "'/api/resources'"),
        ({"ingress": {"host": ""}}, "'/ingress/host'"),
        ({"ingress": {"host": "https://a.test/"}}, "'/ingress/host'"),
        ({"ingress": {"proxies": 11}}, "'/ingress/proxies': maximum: got 11, want 10"),
        ({"postgresql": {"external": {"port": 65_536}}}, "'/postgresql/external/port': maximum"),
        ({"rabbitmq": {"external": {"port": 0}}}, "'/rabbitmq/external/port': minimum"),
        ({"redis": {"external": {"port": "6379"}}}, "'/redis/external/port'"),
        ({"airflow": {"ports": {"apiServer": 70_000}}}, "'/airflow/ports/apiServer'"),
        ({"airflow": {"executor": "CeleryExecutor"}}, "'/airflow/executor'"),
        ({"airflow": {"config": {"api": {"base_url": "/"}}}}, "'/airflow/config/api/base_url'"),
        ({"airflow": {"config": {"api": {"base_url": "/airflow"}}}}, "'/airflow/config/api/base_url'"),
        ({"postgresql": {"enabled": False}}, "'/postgresql/external/host'"),
        ({"postgresql": {"enabled": False}}, "'/postgresql/existingSecret'"),
        ({"postgresql": {"enabled": False, "external": {"host": "db.test"}}}, "'/postgresql/password'"),
        ({"postgresql": {"enabled": False, "password": "x"}}, "'/postgresql/external/host'"),
        ({"rabbitmq": {"enabled": False}}, "'/rabbitmq/external/host'"),
        ({"rabbitmq": {"enabled": False, "external": {"host": "mq.test"}}}, "'/rabbitmq/password'"),
        ({"redis": {"enabled": False}}, "'/redis/external/host'"),
        ({"airflow": {"enabled": False}}, "'/externalAirflow/url'"),
        (
            {"airflow": {"enabled": False}, "externalAirflow": {"url": "http://a.test"}},
            "'/externalAirflow/existingSecret'",
        ),
        ({"airflow": {"enabled": False}, "externalAirflow": {"url": "a.test"}}, "'/externalAirflow/url'"),
        ({"postgresql": {"image": {"tag": "latest"}}}, "'/postgresql/image/tag'"),
        ({"postgresql": {"image": {"tag": ""}}}, "'/postgresql/image/tag'"),
        ({"postgresql": {"persistence": {"size": "big"}}}, "'/postgresql/persistence/size'"),
        ({"postgresql": {"username": "two words"}}, "'/postgresql/username'"),
        ({"rabbitmq": {"memoryHighWatermark": 0.4}}, "'/rabbitmq/memoryHighWatermark'"),
        ({"secrets": {"apiKeys": ["ann:boss:sha256-x"]}}, "'/secrets/apiKeys/0'"),
        ({"secrets": {"existingSecret": "Not A Name"}}, "'/secrets/existingSecret'"),
        ({"networkPolicy": {"internet": [{"cidr": "anywhere"}]}}, "'/networkPolicy/internet/0/cidr'"),
        ({"networkPolicy": {"ingressFrom": []}}, "'/networkPolicy/ingressFrom'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "'/image/pullPolicy'"),
        ({"migration": {"deadlineSeconds": 0}}, "'/migration/deadlineSeconds'"),
        ({"listenOn": "127.0.0.1"}, "'/listenOn'"),
    ],
)
def test_nonsense_is_refused_by_its_name(values: dict[str, Any], about: str) -> None:
    assert about in refusal(values)


@pytest.mark.parametrize(
    "values",
    [
        {"postgresql": EXTERNAL["postgresql"] | {"airflowPassword": "x"}},
        {"rabbitmq": EXTERNAL["rabbitmq"]},
        {"redis": EXTERNAL["redis"]},
        {"airflow": EXTERNAL["airflow"], "externalAirflow": EXTERNAL["externalAirflow"]},
        {"settings": {"THREADS": 64, "LOG_LEVEL": "debug", "QUEUE_PREFIX": "blue."}},
        {"global": {"anything": True}},
    ],
)
def test_what_can_be_meant_is_taken(values: dict[str, Any]) -> None:
    assert render(values).manifests


def test_the_settings_that_may_be_given_are_those_of_the_program() -> None:
    known = set(schema()["definitions"]["settings"]["properties"])
    assert OF_THE_CHART | OF_A_FOLDER < KNOWN_SETTINGS
    assert known == KNOWN_SETTINGS - OF_THE_CHART - OF_A_FOLDER


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_a_setting_may_have_the_values_that_the_program_takes(item: "Field[Any]") -> None:
    name = item.name.upper()
    said = schema()["definitions"]["settings"]["properties"].get(name)
    if name in OF_THE_CHART | OF_A_FOLDER:
        assert said is None
        return
    if item.metadata["choices"]:
        assert said == {"enum": list(item.metadata["choices"])}
    elif isinstance(item.default, int):
        bounds = {"minimum": item.metadata["least"], "maximum": item.metadata["most"]}
        assert said == {"type": "integer"} | bounds
    else:
        assert said == {"type": "string"}


def test_every_value_has_a_default_and_the_schema_knows_each() -> None:
    defaults, properties = all_values({}), schema()["properties"]
    assert set(properties) - set(defaults) <= {"global"}
    for name, value in defaults.items():
        if name in {"airflow", "global"} or "properties" not in properties[name]:
            continue
        assert set(properties[name]["properties"]) == set(value), name
