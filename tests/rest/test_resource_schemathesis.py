"""Requests that schemathesis makes of the OpenAPI document, to four resources: none gets an answer that it lacks.

``REST_CASES=10000`` makes other ones at every run, and more of them than the usual few hundred for each database.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi import checks
from server_process import ServerProcess
from task_calls import rest
from write_load import PARCELS_PATH

if TYPE_CHECKING:
    from databases import Database

CASES = int(os.environ.get("REST_CASES", "300"))
OPERATIONS = 25
EACH = max(1, CASES // (2 * OPERATIONS))
NEW: dict[str, dict[str, Any]] = {
    "products": {"title": "Lamp", "price": 1},
    "orders": {"number": "A-1", "total": 1},
    "lockers": {"code": "A-1"},
    "keys": {"label": "A"},
}
# What depends on what came before, and what no schema can say of a text.
STATE = {"UNKNOWN_PARAMETER", "IDEMPOTENCY_KEY_REUSED", "VERSION_CONFLICT", "GIFT_WITH_TIP"}
STATELESS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
)


@pytest.fixture(scope="module")
def server(module_database: "Database") -> Iterator[ServerProcess]:
    """A server of the application with four resources."""
    made = ServerProcess.on(module_database, PYTHONPATH=PARCELS_PATH)
    made.program = ("tests/support/four_resources_app.py",)
    yield made.start()
    made.kill()


@pytest.fixture(scope="module")
def operations(server: ServerProcess) -> list[Any]:
    """The routes of resources, as schemathesis reads them."""
    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    chosen = document.include(path_regex=f"^/api/({'|'.join(NEW)}|writes)")
    return [found.ok() for found in chosen.get_all_operations() if isinstance(found, Ok)]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_of_the_document(
    server: ServerProcess, operations: list[Any], mode: GenerationMode
) -> None:
    assert len(operations) == OPERATIONS
    with requests.Session() as session:
        for operation in operations:
            if mode is GenerationMode.POSITIVE or operation.path != "/api/writes/{write_id}":  # takes any text
                _try_out(server, session, operation, mode)


def _try_out(server: ServerProcess, session: requests.Session, operation: Any, mode: GenerationMode) -> None:
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        derandomize="REST_CASES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans(), st.booleans())
    def is_answered(case: Case[Any], is_of_a_record: bool, waits: bool) -> None:
        if is_of_a_record and _is_sound(case, ParameterLocation.PATH):
            _name_a_record(server, case)
        if waits and _is_sound(case, ParameterLocation.HEADER):
            case.headers["Prefer"] = "wait=5"
        answer = case.call(session=session, timeout=60)
        case.validate_response(answer, checks=list(STATELESS))
        if mode is GenerationMode.POSITIVE and answer.status_code in (400, 412, 422):
            assert answer.json()["code"] in STATE or _names_what_is_not_there(case), answer.text

    is_answered()


def _is_sound(case: Case[Any], place: ParameterLocation) -> bool:
    """Whether this part of a request was made to fit its schemas."""
    part = case.meta.components.get(place) if case.meta else None
    return part is None or part.mode is GenerationMode.POSITIVE


def _name_a_record(server: ServerProcess, case: Case[Any]) -> None:
    """Send the request to a record that is there."""
    plural = case.path.split("/")[2]
    for name in case.path_parameters if plural in NEW else ():
        if not (found := rest(server, "GET", f"/api/{plural}?limit=1&orderBy=ID_DESC").body[plural]):
            found = [rest(server, "POST", f"/api/{plural}", NEW[plural], Prefer="wait=30").body]
        case.path_parameters[name] = found[0]["id"]


def _names_what_is_not_there(case: Case[Any]) -> bool:
    """Whether the request names a write or a place in a list, which no schema knows."""
    return any(name in case.query for name in ("after", "before", "afterWrite"))
