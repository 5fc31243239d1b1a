"""Finds the application of the current folder, for programs that need its resources."""

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterwrite.base.settings import SettingsError
from afterwrite.resources.compiled import CompiledResource


class NoApplication(SettingsError):
    """There is no application in the current folder; the text says what to do."""


def application_here(module: str = "app") -> Any:
    """The ``application`` in a module of the current folder. Raises NoApplication."""
    folder = Path.cwd()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        file = f"{module.replace('.', '/')}.py"
        raise NoApplication(
            f"there is no {file} in {folder}: write one with an `application`, or go to its folder"
        ) from None
    if not (hasattr(found, "application") and hasattr(found, "wsgi")):
        raise NoApplication(
            f"{found.__file__} has no `application` and `wsgi`: add `application = Application(...)` and "
            "`wsgi = application.wsgi`"
        )
    return found.application


def resources_here(module: str = "app") -> Mapping[str, CompiledResource]:
    """The resources of the application in a module of the current folder. Raises NoApplication."""
    resources: Mapping[str, CompiledResource] = application_here(module).resources
    return resources


def add_app_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--app``, which names the module of the application."""
    parser.add_argument(
        "--app", metavar="MODULE", default="app", help="the module of the application, such as shop; app if left out"
    )
