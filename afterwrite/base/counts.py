"""Formats counts with their noun: 1 product, 2,000 products."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """The number with its noun; the plural is that with an s, unless another one is given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
