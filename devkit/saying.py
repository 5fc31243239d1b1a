"""Prints the messages of dev.py."""


def say(text: str) -> None:
    """Print one line and flush it, so that it precedes the output of programs started next."""
    print(text, flush=True)  # noqa: T201
