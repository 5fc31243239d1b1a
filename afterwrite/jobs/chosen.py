"""Opens the overview of the stack where Airflow runs processes; elsewhere its clients need not be installed."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import Settings

if TYPE_CHECKING:
    from afterwrite.jobs.overview import StackOverview


def overview_of(
    settings: Settings, background: BackgroundLoop, parts: Collection[str] | None = None
) -> "StackOverview | None":
    """The overview of these parts (None: of all), or None where processes are run by workers here.

    Raises SettingsError for an address that is none, and where the clients are not installed.
    """
    if settings.process_engine == "builtin":
        return None
    from afterwrite.jobs.overview import PARTS, StackOverview

    return StackOverview(settings, background, PARTS if parts is None else parts)
