"""Roles of callers; each role includes the rights of those below it."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """The rights of a caller, from none to all."""

    NOBODY = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The role's name in settings and messages."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: the name of its key, None without a key, and its role."""

    name: str | None
    role: Role


GIVEN_ROLES = {role.word: role for role in (Role.READ, Role.WRITE, Role.ADMIN)}
"""The roles that a key can have."""
