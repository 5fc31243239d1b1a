"""Opens the stack overview if jobs run on Airflow; its clients are only imported then."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import Settings

if TYPE_CHECKING:
    from afterwrite.jobs.overview import StackOverview


def overview_of(
    settings: Settings, background: BackgroundLoop, parts: Collection[str] | None = None
) -> "StackOverview | None":
    """The overview of these parts (None: all), or None if jobs run on local workers.

    Raises SettingsError for an invalid address or missing clients.
    """
    if settings.process_engine == "builtin":
        return None
    from afterwrite.jobs.overview import PARTS, StackOverview

    return StackOverview(settings, background, PARTS if parts is None else parts)
