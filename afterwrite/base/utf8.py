"""UTF-8 mode for a program, whatever the locale. Standard library only, for dev.py."""

import io
import os
import sys


def use_utf8() -> None:
    """Use UTF-8 for arguments, paths and standard streams, also in child processes. Call it first in a program.

    On POSIX the arguments are already decoded by the locale. If that is not UTF-8, the program replaces itself (exec)
    in Python's UTF-8 mode (https://peps.python.org/pep-0540/). Input that is not UTF-8 raises UnicodeDecodeError;
    output never raises.
    """
    is_utf8_mode = os.environ.get("PYTHONUTF8") == "1"
    os.environ["PYTHONUTF8"] = "1"
    if os.name == "posix" and sys.getfilesystemencoding() != "utf-8" and not is_utf8_mode:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program itself
    _reconfigure(sys.stdin, "strict")
    _reconfigure(sys.stdout, "backslashreplace")  # a path need not be UTF-8
    _reconfigure(sys.stderr, "backslashreplace")


def _reconfigure(stream: object, errors: str) -> None:
    if isinstance(stream, io.TextIOWrapper):  # a Windows program without a console has none
        stream.reconfigure(encoding="utf-8", errors=errors)
