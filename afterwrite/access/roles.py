"""Says what a caller may do: one role for each, and each role includes the rights of those below it."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a caller may do."""

    NOBODY = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The role as people write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the name of a key, or None for one who showed none, and what that one may do."""

    name: str | None
    role: Role


GIVEN_ROLES = {role.word: role for role in (Role.READ, Role.WRITE, Role.ADMIN)}
"""The roles that a key can have."""
