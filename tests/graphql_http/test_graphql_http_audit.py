"""The public audit of GraphQL over HTTP: every MUST, SHOULD and MAY of the npm package graphql-http."""

from __future__ import annotations

from typing import Any

import pytest
from graphql_http_audits import failed_audits
from graphql_http_site import make_app, serving


@pytest.mark.parametrize("options", [{}, {"graphiql": True, "max_streams": 1}])
def test_every_audit_is_ok(options: dict[str, Any]) -> None:
    with serving(make_app(**options)) as url:
        assert failed_audits(f"{url}/graphql") == []
