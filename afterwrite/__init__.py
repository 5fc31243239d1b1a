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
    from afterwrite.base.settings import Settings
    from afterwrite.loading import SAMPLE_PRODUCTS
    from afterwrite.programs.init_db import main as init_db
    from afterwrite.service.current import WrongProcess
    from afterwrite.tasks.retry import RetryPolicy
    from afterwrite.tasks.task import Task
    from afterwrite.tasks.worker import BaseWorker, TaskContext, TaskFailed, next_stage

__all__ = [
    "SAMPLE_PRODUCTS",
    "Application",
    "BaseWorker",
    "Refused",
    "RetryPolicy",
    "Settings",
    "Task",
    "TaskContext",
    "TaskFailed",
    "WrongProcess",
    "init_db",
    "next_stage",
]
_HOMES = {
    "Application": "application.application",
    "BaseWorker": "tasks.worker",
    "Refused": "base.refusals",
    "RetryPolicy": "tasks.retry",
    "SAMPLE_PRODUCTS": "loading",
    "Settings": "base.settings",
    "Task": "tasks.task",
    "TaskContext": "tasks.worker",
    "TaskFailed": "tasks.worker",
    "WrongProcess": "service.current",
    "init_db": "programs.init_db",
    "next_stage": "tasks.worker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError:
        end_in_one_line()  # of the program that is started without its packages
        raise
    return getattr(module, "main" if name == "init_db" else name)
