"""Checks the access settings before a server touches any data.

``python -m afterwrite.access.start`` exits 1 with the reason if the server may not start.
"""

import sys

from afterwrite.access.cors import origins_of
from afterwrite.access.key_ring import KeyRing
from afterwrite.access.opening import anonymous_role
from afterwrite.access.rate import rate_limit_of
from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.utf8 import use_utf8


def check_access(settings: Settings) -> None:
    """Raise SettingsError for invalid keys, RATE_LIMIT or CORS_ORIGINS, or if others could reach an open server."""
    has_keys = KeyRing(settings).had_keys
    origins_of(settings, anonymous_role(settings, has_keys=has_keys))
    rate_limit_of(settings)


def main() -> int:
    """Check the settings of the environment; print the reason if a server would not start."""
    try:
        check_access(from_environment())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
