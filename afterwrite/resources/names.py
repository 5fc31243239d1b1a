"""Derives the names of a resource from its class: snake case and plural."""

import re


def snake_case(name: str) -> str:
    """``OrderLine`` becomes ``order_line``, ``HTTPHook`` ``http_hook``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def plural_of(noun: str) -> str:
    """The regular plural of an English noun."""
    if re.search("[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search("(s|x|z|ch|sh)$", noun) else f"{noun}s"
