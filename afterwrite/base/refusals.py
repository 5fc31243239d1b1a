"""Refused requests: every problem with its field, message and code."""

from collections.abc import Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """One reason: the path of the argument (None: the whole request), what to do, and a code."""

    field: list[str] | None
    message: str
    code: str


class Refused(Exception):
    """Nothing of the request was done; ``problems`` has every reason, ``message`` sums them up in one sentence."""

    def __init__(self, problems: Sequence[Problem], message: str = "") -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        self.problems, self.message = list(problems), message or f"{problems[0].message}{more}"
        super().__init__(self.message)
