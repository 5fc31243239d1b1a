"""Serves the application in ``app.py``, or in another module of the current folder."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="afterwrite serve", description=__doc__)
    parser.add_argument(
        "module", nargs="?", default="app", help="the module with `application` and `wsgi`; app if left out"
    )
    name = parser.parse_args(arguments).module
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        file = f"{name.replace('.', '/')}.py"
        sys.stderr.write(
            f"afterwrite: there is no {file} in {Path.cwd()}: write one with an `application`, or go to its folder\n"
        )
        return 1
    if not (hasattr(module, "application") and hasattr(module, "wsgi")):
        sys.stderr.write(
            f"afterwrite: {module.__file__} has no `application` and `wsgi`: add `application = Application(...)` "
            "and `wsgi = application.wsgi`\n"
        )
        return 1
    code: int = module.application.run(name)
    return code
