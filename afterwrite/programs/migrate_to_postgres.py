"""Moves the embedded catalogue in DATA_DIR to the PostgreSQL in DATABASE_URL; with ``--reopen``, reopens the folder."""

import argparse
import sys
import time
from collections.abc import Sequence

from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.programs.here import add_app_option, resources_here
from afterwrite.storage.moving.progress import Progress
from afterwrite.storage.moving.source import reopen

_DESCRIPTION = """\
Copies the embedded catalogue in DATA_DIR into the PostgreSQL in DATABASE_URL: records, ledger, the writes that wait,
idempotency keys, tasks with what was done to them, received webhooks, and the secrets that sign webhooks and sessions.
Then it counts every table on both sides and compares checksums.

Stop the server before. The files in DATA_DIR are only read, and marked at the end: from then on nothing starts on them
without DATABASE_URL. The database must be empty. It is filled in one transaction: an interrupted copy leaves nothing
there; run it again. Until it has ended no server or worker starts on that database."""
_DONE = """\
Done in {seconds:,.0f} s. {data_dir} is not used any more: start the server with DATABASE_URL set. Without it nothing
starts on that folder, or there would be two catalogues from then on. Keep the databases there until you have a backup
of PostgreSQL; keys in {data_dir}/api-keys are still read from there."""
_REOPENED = """\
{data_dir} is served again where DATABASE_URL is not set. {address} is left as it is:
what has come there since is not in the folder."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 when all of it is in PostgreSQL and checked, 1 when it is not, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return _reopen(from_environment()) if options.reopen else _move(from_environment(), options.app)
    except (SettingsError, StoreError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted: run it again; an unfinished copy leaves nothing in PostgreSQL", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="afterwrite migrate-to-postgres",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--reopen", action="store_true", help="let a folder that was moved be served again, as it was when it was moved"
    )
    add_app_option(parser)
    return parser


def _move(settings: Settings, module: str) -> int:
    if not settings.database_url:
        raise SettingsError(
            "DATABASE_URL is not set: it says where to copy to, postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    from afterwrite.storage.moving.move import move  # here, because it needs the packages for PostgreSQL

    begin = time.perf_counter()
    progress = Progress(sys.stdout)
    move(settings, resources_here(module), progress)
    progress.say(_DONE.format(seconds=time.perf_counter() - begin, data_dir=settings.data_dir))
    return 0


def _reopen(settings: Settings) -> int:
    address = reopen(settings)
    if address is None:
        raise StoreError(f"{settings.data_dir} was never moved to PostgreSQL: there is nothing to do")
    Progress(sys.stdout).say(_REOPENED.format(data_dir=settings.data_dir, address=address))
    return 0


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"migrate-to-postgres: {message}\n")
    return code
