"""The refusal of a request: every problem with its field, a message and a code."""

from collections.abc import Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """One reason for a refusal: the path of the argument (None: the whole request), what to do, and a code."""

    field: list[str] | None
    message: str
    code: str


class Refused(Exception):
    """A request of which nothing was done; ``problems`` says why, ``message`` says it in one sentence."""

    def __init__(self, problems: Sequence[Problem], message: str = "") -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        self.problems, self.message = list(problems), message or f"{problems[0].message}{more}"
        super().__init__(self.message)
