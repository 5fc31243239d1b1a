"""Reads docker-compose.yml for the tests."""

import re
from pathlib import Path
from typing import Any

import yaml

from afterwrite.base.settings import Settings, from_environment

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{([A-Z_]+):-(.*?)\}")
APP, SCALE = ("app",), ("api", "worker", "nginx", "postgres")
AIRFLOW = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor")
STACK_PROGRAMS = ("stack-api", "stack-worker", "consumer", "notification")
ONCE = ("airflow-database", "airflow-migrate")  # that end, at each start
STACK = (*STACK_PROGRAMS, *AIRFLOW, *ONCE, "rabbitmq", "redis", "postgres")
SECRETS = {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD"}
SECRETS |= {f"AIRFLOW_{name}" for name in ("PASSWORD", "ADMIN_PASSWORD", "DATABASE_PASSWORD")}
SECRETS |= {f"AIRFLOW_{name}" for name in ("SECRET_KEY", "JWT_SECRET", "FERNET_KEY")}


def composition() -> dict[str, Any]:
    """The whole file, with its anchors put in their places."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def services() -> dict[str, dict[str, Any]]:
    """The services by their names."""
    found: dict[str, dict[str, Any]] = composition()["services"]
    return found


def passed_settings(service: str = "app") -> list[str]:
    """The settings that go on to the server under their own names."""
    environment = services()[service]["environment"]
    return [name for name, value in environment.items() if value == f"${{{name}:-}}"]


def filled_in(value: str, given: dict[str, str]) -> str:
    """A value as compose puts the variables of the environment into it."""
    return VARIABLE.sub(lambda found: given.get(found[1]) or found[2], value)


def environment_of(service: str, **given: str) -> dict[str, str]:
    """The environment of a container, without that of its image, when docker.sh was given these variables."""
    values = services()[service].get("environment", {})
    return {name: filled_in(value, given) for name, value in values.items()}


def settings_in(service: str, **given: str) -> Settings:
    """What the program in a container reads when docker.sh was given these variables."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    image = dict(re.findall(r"^ *(?:ENV )?([A-Z_]+)=(\S+)", text, re.MULTILINE))
    return from_environment({**image, **environment_of(service, **given)})


def check_confined(service: dict[str, Any]) -> None:
    """A container may no more than it needs."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc"}
