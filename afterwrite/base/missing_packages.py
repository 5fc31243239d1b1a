"""Ends a program that lacks a package in one line, which names the command that has it or installs it.

Standard library only.
"""

import sys
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from types import TracebackType

from afterwrite.base.own_command import ROOT, own_command

_VERBS = {"app": "up"}
_EXTRAS = {"psycopg": "postgres", "aio_pika": "stack", "redis": "stack"}  # of an installed Afterwrite


def end_in_one_line(program: str = "") -> None:
    """Install the excepthook; call it before the imports that need packages.

    ``program`` is named in the line; by default the one of the command line.
    """
    sys.excepthook = partial(_report, program)


def require(package: str) -> None:
    """Raise ModuleNotFoundError for a missing package, as its import would that comes later."""
    if PathFinder.find_spec(package) is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def _report(program: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    package = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if not package or PathFinder.find_spec(package, [str(ROOT)]):
        sys.__excepthook__(kind, error, trace)
        return
    program = program or Path(sys.argv[0]).stem
    if program in ("__main__", "afterwrite"):
        program = sys.argv[1]
    if (ROOT / "dev.py").exists():
        verb = _VERBS.get(program, program.replace("_", "-"))
        way_out = f"run `{own_command(verb)}`, which uses an environment with all of them"
    elif package in _EXTRAS:
        way_out = f"run `pip install 'afterwrite[{_EXTRAS[package]}]'`"
    else:
        way_out = "install it"
    sys.stderr.write(f"{program}: this Python ({sys.executable}) does not have the package {package}: {way_out}\n")
