"""The error of the commands."""


class CommandError(Exception):
    """A command failed; its text is printed to the user and says what happened and what to do."""
