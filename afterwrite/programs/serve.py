"""Serves the application in ``app.py``, or in another module of the current folder."""

import argparse
import sys
from collections.abc import Sequence

from afterwrite.programs.here import NoApplication, application_here


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="afterwrite serve", description=__doc__)
    parser.add_argument(
        "module", nargs="?", default="app", help="the module with `application` and `wsgi`; app if left out"
    )
    name = parser.parse_args(arguments).module
    try:
        application = application_here(name)
    except NoApplication as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    code: int = application.run(name)
    return code
