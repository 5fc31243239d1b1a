"""The error of the commands, and how their programs end with it."""

import sys
from collections.abc import Callable
from typing import NoReturn

from afterwrite.base.settings import SettingsError
from afterwrite.base.utf8 import use_utf8


class CommandError(Exception):
    """A command failed; its text is printed to the user and says what happened and what to do."""


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a program in UTF-8 and exit with its code; the text of a CommandError or SettingsError is all it prints."""
    use_utf8()
    try:
        sys.exit(main(sys.argv[1:]))
    except (CommandError, SettingsError) as error:
        sys.exit(str(error))
