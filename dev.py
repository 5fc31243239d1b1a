"""Everyday commands without Docker: ``python3 dev.py VERB``. The commands are in devkit/."""

import sys

# Older Pythons must be able to parse this file, so that they print this message instead of a syntax error.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        "Afterwrite needs Python 3.11 or later; this is Python %d.%d (%s). "  # noqa: UP031
        "Start dev.py with a newer one, for example: python3.13 dev.py"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

from afterwrite.base.utf8 import use_utf8
from devkit.command_line import main

if __name__ == "__main__":
    use_utf8()
    sys.exit(main(sys.argv[1:]))
