"""Says one line to whoever called dev.py."""


def say(text: str) -> None:
    """Print one line now, before any line of a program that is started next."""
    print(text, flush=True)  # noqa: T201
