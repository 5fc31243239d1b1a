"""Loads the application in the process that serves it."""

import gc
import sys
from collections.abc import Callable
from typing import Any

from afterwrite.base.missing_packages import end_in_one_line
from afterwrite.base.settings import SettingsError
from afterwrite.base.store_errors import StoreError

REFUSED = 78  # EX_CONFIG


def load(application: Callable[[], Any], program: str = "") -> Any:
    """The application. One that cannot be served says why in one line, and the process exits with ``REFUSED``.

    Garbage collections while it loads would find next to nothing and take a sixth of the time; later ones skip what was
    loaded, which stays. ``program`` is the argument of ``end_in_one_line``.
    """
    end_in_one_line(program)
    gc.disable()
    try:
        return application()
    except (SettingsError, StoreError) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        raise SystemExit(REFUSED) from error
    except ModuleNotFoundError:
        sys.excepthook(*sys.exc_info())
        raise SystemExit(REFUSED) from None
    finally:
        gc.freeze()
        gc.enable()
