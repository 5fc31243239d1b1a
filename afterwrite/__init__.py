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
    from afterwrite.graphql.resource_types import graphql_type
    from afterwrite.loading import SAMPLE_PRODUCTS
    from afterwrite.programs.init_db import main as init_db
    from afterwrite.resources.field import Field
    from afterwrite.resources.number_fields import Integer, Money, Number
    from afterwrite.resources.reference_field import Reference
    from afterwrite.resources.resource import AcceptedAt, FollowUp, Rejected, Resource, derived, operation
    from afterwrite.resources.text_fields import Choice, Email, Text, Url
    from afterwrite.resources.value_fields import Boolean, Date, DateTime, Json
    from afterwrite.resources.write import Write
    from afterwrite.service.current import WrongProcess
    from afterwrite.tasks.retry import RetryPolicy
    from afterwrite.tasks.task import Task
    from afterwrite.tasks.worker import BaseWorker, TaskContext, TaskFailed, next_stage

__all__ = [
    "SAMPLE_PRODUCTS",
    "AcceptedAt",
    "Application",
    "BaseWorker",
    "Boolean",
    "Choice",
    "Date",
    "DateTime",
    "Email",
    "Field",
    "FollowUp",
    "Integer",
    "Json",
    "Money",
    "Number",
    "Reference",
    "Refused",
    "Rejected",
    "Resource",
    "RetryPolicy",
    "Settings",
    "Task",
    "TaskContext",
    "TaskFailed",
    "Text",
    "Url",
    "Write",
    "WrongProcess",
    "derived",
    "graphql_type",
    "init_db",
    "next_stage",
    "operation",
]
_HOMES = {
    "AcceptedAt": "resources.resource",
    "Application": "application.application",
    "BaseWorker": "tasks.worker",
    "Boolean": "resources.value_fields",
    "Choice": "resources.text_fields",
    "Date": "resources.value_fields",
    "DateTime": "resources.value_fields",
    "derived": "resources.resource",
    "Email": "resources.text_fields",
    "Field": "resources.field",
    "FollowUp": "resources.resource",
    "graphql_type": "graphql.resource_types",
    "init_db": "programs.init_db",
    "Integer": "resources.number_fields",
    "Json": "resources.value_fields",
    "Money": "resources.number_fields",
    "next_stage": "tasks.worker",
    "Number": "resources.number_fields",
    "operation": "resources.resource",
    "Reference": "resources.reference_field",
    "Refused": "base.refusals",
    "Rejected": "resources.resource",
    "Resource": "resources.resource",
    "RetryPolicy": "tasks.retry",
    "SAMPLE_PRODUCTS": "loading",
    "Settings": "base.settings",
    "Task": "tasks.task",
    "TaskContext": "tasks.worker",
    "TaskFailed": "tasks.worker",
    "Text": "resources.text_fields",
    "Url": "resources.text_fields",
    "Write": "resources.write",
    "WrongProcess": "service.current",
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
