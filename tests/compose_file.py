"""Reads docker-compose.yml for the tests."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
APP, SCALE = ("app",), ("api", "worker", "nginx", "postgres")


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
