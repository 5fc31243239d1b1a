"""The whole application over a folder, with keys of each role, in the test's own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from declared import RESOURCES
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from afterwrite.access.control import AccessControl
from afterwrite.access.keys import Key, hash_of, new_secret
from afterwrite.access.roles import Role
from afterwrite.application.routes import create_app
from afterwrite.base.settings import Settings
from afterwrite.service.service import Service
from app import application

GIVEN = (Role.READ, Role.WRITE, Role.ADMIN)
SECRETS = {role: new_secret() for role in GIVEN}
KEYS = ",".join(Key(role.word, role, hash_of(SECRETS[role])).line for role in GIVEN)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """The running application; ``access`` decides over its requests."""

    def __init__(self, service: Service, access: AccessControl, clock: Clock) -> None:
        self.service, self.access, self.clock = service, access, clock
        self.app: Flask = create_app(service, access, application.schema)
        self.app.testing = False  # errors are answered as in service

    def client(self) -> FlaskClient:
        """A new browser, or program: it keeps the cookies it gets."""
        return self.app.test_client()

    def send(self, method: str, path: str, role: Role = Role.NOBODY, **options: Any) -> TestResponse:
        """The answer to one request with the key of the role."""
        headers = {**bearer(role), **options.pop("headers", {})}
        return self.client().open(path, method=method, headers=headers, **options)

    def graphql(self, document: str, role: Role = Role.NOBODY, **options: Any) -> TestResponse:
        """The answer to a document."""
        return self.send("POST", "/graphql", role, json={"query": document}, **options)


@contextmanager
def site_over(folder: Path, **settings: Any) -> Iterator[Site]:
    """The application over a folder, until the end; with the three keys unless other ones are given."""
    given = replace(Settings(data_dir=folder, api_keys=KEYS, stage_seconds=0), **settings)
    clock = Clock()
    service = Service(given, RESOURCES)
    service.start()
    try:
        yield Site(service, AccessControl(given, clock=clock), clock)
    finally:
        service.stop()


def bearer(role: Role) -> dict[str, str]:
    """The header that shows the key of a role."""
    return {"Authorization": f"Bearer {SECRETS[role]}"} if role in SECRETS else {}


def code_of(answer: TestResponse) -> str:
    """The code of a refusal: of a GraphQL error or of a problem."""
    body = answer.get_json(force=True)
    found: str = body["errors"][0]["extensions"]["code"] if "code" not in body else body["code"]
    return found
