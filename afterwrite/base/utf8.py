"""UTF-8 for what a program reads and writes, whatever the locale says. Standard library only, as dev.py needs it."""

import io
import os
import sys


def use_utf8() -> None:
    """Let arguments, paths and the standard streams of this program, and of those that it starts, be UTF-8.

    To be called first in a program: where the locale has another encoding than UTF-8 (POSIX), the arguments were
    decoded with it already, so the program is started again, as the same process, in Python's UTF-8 mode
    (https://peps.python.org/pep-0540/). Input that is not UTF-8 raises UnicodeDecodeError; output never raises.
    """
    is_told = os.environ.get("PYTHONUTF8") == "1"
    os.environ["PYTHONUTF8"] = "1"
    if os.name == "posix" and sys.getfilesystemencoding() != "utf-8" and not is_told:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program
    _reconfigure(sys.stdin, "strict")
    _reconfigure(sys.stdout, "backslashreplace")  # a path need not be UTF-8
    _reconfigure(sys.stderr, "backslashreplace")


def _reconfigure(stream: object, errors: str) -> None:
    if isinstance(stream, io.TextIOWrapper):  # there is none in a Windows program without a console
        stream.reconfigure(encoding="utf-8", errors=errors)
