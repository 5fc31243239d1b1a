"""Names for the prompt of ``dev.py shell``, which runs ``python -i -m devkit.shell_names``."""

import os
import sys
from types import SimpleNamespace
from typing import Any

from graphql import graphql_sync, print_schema
from sqlalchemy import text

from afterwrite.base.settings import from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.records import records_of
from afterwrite.storage.stores import open_for_reading
from app import application

settings = from_environment()
try:
    engine = open_for_reading(settings)
except StoreError as error:
    sys.stderr.write(f"dev.py shell: {error}\n")
    sys.stderr.flush()
    os._exit(1)  # any other exit would let `python -i` open its prompt
schema = print_schema(application.schema)
# Only reads: waiting and writing are up to the server that owns the journal.
records = records_of(engine, application.resources)
globals().update({one.resource.plural: one for one in records.values()})
_context = SimpleNamespace(records=records, absolute=lambda url: url, queue=None, wait_seconds=0.0)


def query(document: str) -> Any:
    """Run a query for records against the product database and return its data."""
    answer = graphql_sync(application.schema, document, context_value=_context)
    if answer.errors:
        raise answer.errors[0]
    return answer.data


def sql(statement: str) -> list[tuple[object, ...]]:
    """Run a read-only statement on the product database and return its rows.

    In PostgreSQL the tables are in the schema ``afterwrite``.
    """
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


names = ", ".join(one.resource.plural for one in records.values())
sys.stdout.write(
    f"settings, engine (read-only), {names}, schema (SDL), query(document), sql(statement); for example:\n"
)
sys.stdout.write(
    "  sql('SELECT count(*) FROM products')\n  products.get(1)\n  query('{ categories { name count } }')\n"
)
