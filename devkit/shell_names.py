"""Puts names at hand for ``dev.py shell``, which runs ``python -i -m devkit.shell_names``."""

import os
import sys
from types import SimpleNamespace
from typing import Any

from graphql import graphql_sync
from sqlalchemy import text

from afterwrite.base.settings import from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.stores import open_for_reading
from app import application

settings = from_environment()
try:
    products, engine = open_for_reading(settings)
except StoreError as error:
    sys.stderr.write(f"dev.py shell: {error}\n")
    sys.stderr.flush()
    os._exit(1)  # after anything else `python -i` would open its prompt
schema = application.schema
# Nothing waits here, and nothing is written: the server that owns the journal does that.
_context = SimpleNamespace(products=products, absolute=lambda url: url, queue=None, wait_seconds=0.0)


def query(document: str) -> Any:
    """Return the data of a query of products, read from the product database."""
    answer = graphql_sync(schema, document, context_value=_context)
    if answer.errors:
        raise answer.errors[0]
    return answer.data


def sql(statement: str) -> list[tuple[object, ...]]:
    """Return the rows of one statement on the product database, which it cannot change.

    In PostgreSQL the tables are in the schema ``afterwrite``.
    """
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


sys.stdout.write(
    "settings, engine (read-only), products, schema, query(document), sql(statement); for example:\n"
    "  sql('SELECT count(*) FROM products')\n  products.get(1)\n  query('{ categories { name count } }')\n"
)
