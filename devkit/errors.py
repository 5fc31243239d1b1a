"""Says what stopped a daily command."""


class CommandError(Exception):
    """A command cannot go on; the text says what happened and what to do, and is all that the user sees."""
