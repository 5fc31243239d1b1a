"""Reports a missing package in one line with the dev.py command to run, not in a traceback. Standard library only."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import TracebackType

_ROOT = Path(__file__).resolve().parents[2]
_VERBS = {"app": "up"}


def end_in_one_line() -> None:
    """Install the excepthook; call it before the imports that need packages."""
    sys.excepthook = _report


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    package = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if not package or PathFinder.find_spec(package, [str(_ROOT)]):
        sys.__excepthook__(kind, error, trace)
        return
    program = Path(sys.argv[0]).stem
    if program in ("__main__", "afterwrite"):
        program = sys.argv[1]
    verb = _VERBS.get(program, program.replace("_", "-"))
    sys.stderr.write(
        f"{program}: this Python ({sys.executable}) does not have the package {package}: run "
        f"`python3 dev.py {verb}`, which uses an environment with all of them\n"
    )
