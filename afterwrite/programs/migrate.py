"""Brings the database to the schema and to the declarations of the application; may allow changes that lose data."""

import argparse
import sys
from collections.abc import Sequence

from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.programs.here import add_app_option, resources_here
from afterwrite.storage.stores import prepare_stores

_DESCRIPTION = """\
Brings the database in DATA_DIR or at DATABASE_URL to the newest schema, and its tables to the resources that app.py of
the current folder declares. A server does the same when it starts: it applies what only adds, and stops at a change
that could lose data, which is named here with --allow. All of it is one transaction.

Stop a server on DATA_DIR first, and every server that has the declarations of before."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 when the database is up to date, 1 when it is not."""
    parser = argparse.ArgumentParser(
        prog="afterwrite migrate", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--allow",
        metavar="TABLE.COLUMN",
        action="append",
        default=[],
        help="apply a change that may lose values of this column; may be given several times",
    )
    add_app_option(parser)
    options = parser.parse_args(arguments)
    try:
        prepare_stores(from_environment(), resources_here(options.app), options.allow)
    except (SettingsError, StoreError) as error:
        sys.stderr.write("".join(f"migrate: {line}\n" for line in str(error).splitlines()))
        return 1
    sys.stdout.write("The database follows the declarations\n")
    return 0
