"""Puts names at hand for ``dev.py shell``, which runs ``python -i -m devkit.shell_names``."""

import sys

from sqlalchemy import text

from database.engine import open_reader
from database.products import Products
from product_types import build_schema
from settings import from_environment

settings = from_environment()
engine = open_reader(settings.products_path, threads=2)
products = Products(engine)
schema = build_schema()


def sql(statement: str) -> list[tuple[object, ...]]:
    """Return the rows of one statement on the product database, which it cannot change."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


sys.stdout.write(
    "settings, engine (read-only), products, schema, sql(statement); for example:\n"
    "  sql('SELECT count(*) FROM products')\n  products.get(1)\n  print(schema)\n"
)
