"""Finds the PostgreSQL that tests use."""

import functools
import os

import psycopg
import pytest
from many_processes import server_url


@functools.cache
def _missing() -> str:
    try:
        psycopg.connect(server_url().replace("postgresql+psycopg", "postgresql"), connect_timeout=5).close()
    except psycopg.Error as error:
        return str(error)
    return ""


def require_postgres() -> None:
    """Skip the test where there is no PostgreSQL, and fail it in CI."""
    if missing := _missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have PostgreSQL: {missing}")
        pytest.skip(f"no PostgreSQL: {missing}")
