"""Afterwrite answers a write at once, applies it afterwards, in order and exactly once, and never loses one.

An application needs the names in ``__all__``. They are imported when they are first used, so that the modules which
need no package can be imported without any.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from afterwrite.base.missing_packages import end_in_one_line

if TYPE_CHECKING:
    from afterwrite.application.application import Application
    from afterwrite.base.refusals import Refused
    from afterwrite.loading import SAMPLE_PRODUCTS
    from afterwrite.programs.init_db import main as init_db
    from afterwrite.service.current import WrongProcess

__all__ = ["SAMPLE_PRODUCTS", "Application", "Refused", "WrongProcess", "init_db"]
_HOMES = {
    "Application": ("afterwrite.application.application", "Application"),
    "Refused": ("afterwrite.base.refusals", "Refused"),
    "SAMPLE_PRODUCTS": ("afterwrite.loading", "SAMPLE_PRODUCTS"),
    "WrongProcess": ("afterwrite.service.current", "WrongProcess"),
    "init_db": ("afterwrite.programs.init_db", "main"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError:
        end_in_one_line()  # of the program that is started without its packages
        raise
