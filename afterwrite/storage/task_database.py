"""Says what a database of tasks is opened as."""

from dataclasses import dataclass

from sqlalchemy import Engine

from afterwrite.storage.commits import Commits


@dataclass(frozen=True, slots=True)
class TaskDatabase:
    """What reads a database of tasks, and what writes it."""

    reader: Engine
    commits: Commits

    def close(self) -> None:
        """Close both."""
        self.commits.close()
        self.reader.dispose()
