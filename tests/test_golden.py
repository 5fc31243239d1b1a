"""The API keeps its form: GraphQL schema, OpenAPI document and metrics are those in tests/golden, but for descriptions.

A change of the API is a change of these files, which a review sees. ``UPDATE_GOLDEN=1`` writes them again.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_site import Site, site_over
from graphql import lexicographic_sort_schema, print_schema

from afterwrite.access.roles import Role
from app import application

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application, after a write and a task."""
    with site_over(tmp_path_factory.mktemp("golden")) as made:
        for document in (
            'mutation { createProductSync(title: "Lamp", price: 1) { success } }',
            'mutation { createEntry(title: "Lamp") { id } }',
        ):
            assert "errors" not in made.graphql(document, Role.ADMIN).get_json()
        yield made


def test_the_graphql_schema_is_the_golden_one() -> None:
    schema = print_schema(lexicographic_sort_schema(application.schema))
    compare("schema.graphql", re.sub(r'^\s*""".*?"""\n', "", schema, flags=re.DOTALL | re.MULTILINE))


def test_the_openapi_document_is_the_golden_one(site: Site) -> None:
    document = site.send("GET", "/openapi.json", Role.ADMIN).get_json()
    compare("openapi.json", json.dumps(without_descriptions(document), indent=1, sort_keys=True))


def test_the_metrics_have_the_golden_names_and_types(site: Site) -> None:
    lines = site.send("GET", "/metrics", Role.ADMIN).get_data(as_text=True).splitlines()
    compare("metrics.txt", "\n".join(sorted(line for line in lines if line.startswith("# TYPE"))))


def compare(name: str, found: str) -> None:
    """Assert that a golden file has this text."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found.rstrip() + "\n", encoding="utf-8")
    assert found.rstrip() == path.read_text(encoding="utf-8").rstrip()


def without_descriptions(value: Any) -> Any:
    """JSON without the texts that are for people."""
    if isinstance(value, list):
        return [without_descriptions(item) for item in value]
    if not isinstance(value, dict):
        return value
    texts = {name for name in ("description", "summary", "title") if isinstance(value.get(name), str)}
    return {name: without_descriptions(item) for name, item in value.items() if name not in texts}
