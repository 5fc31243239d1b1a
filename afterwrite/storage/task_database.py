"""An open task database: a reader and a group-committing writer."""

from dataclasses import dataclass

from sqlalchemy import Engine

from afterwrite.storage.commits import Commits


@dataclass(frozen=True, slots=True)
class TaskDatabase:
    """The reader and the writer of a task database."""

    reader: Engine
    commits: Commits

    def close(self) -> None:
        """Close both."""
        self.commits.close()
        self.reader.dispose()
