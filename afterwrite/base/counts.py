"""Formats counts with their noun: 1 product, 2,000 products."""


def counted(number: int, noun: str) -> str:
    """The number with its noun, with an s in the plural."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
