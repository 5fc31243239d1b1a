"""Creates, lists and revokes API keys. Standard library only, because dev.py needs it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from afterwrite.access.key_file import add_key, key_file_path, read_keys, remove_key
from afterwrite.access.keys import Key, check_name, hash_of, keys_of_setting, new_secret
from afterwrite.access.roles import GIVEN_ROLES
from afterwrite.base.settings import Settings, SettingsError, from_environment


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="afterwrite key", description=__doc__)
    declare(parser)
    options = parser.parse_args(arguments)
    try:
        act(options, from_environment())
    except SettingsError as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    return 0


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="add | list | remove")
    add = verbs.add_parser("add", help="create a key and show its secret once")
    add.add_argument("name", metavar="NAME", help="the name of its owner: letters, digits, `.`, `_`, `-`")
    add.add_argument("--role", required=True, choices=list(GIVEN_ROLES), help="its rights")
    verbs.add_parser("list", help="show names and roles")
    remove = verbs.add_parser("remove", help="revoke a key; its sessions end")
    remove.add_argument("name", metavar="NAME")


def act(options: argparse.Namespace, settings: Settings) -> None:
    """Run the chosen subcommand on the key file of the settings. Raises SettingsError."""
    path = key_file_path(settings)
    if options.what == "add":
        _add(settings, path, options.name, options.role)
    elif options.what == "remove":
        _remove(settings, path, options.name)
    else:
        _list(settings, path)


def _add(settings: Settings, path: Path, name: str, role: str) -> None:
    check_name(name)
    if any(key.name == name for key in keys_of_setting(settings.api_keys)):
        raise SettingsError(f"There is a key named {name!r} in API_KEYS already: choose another name")
    secret = new_secret()
    add_key(path, Key(name, GIVEN_ROLES[role], hash_of(secret)))
    # Only the secret goes to standard output, for scripts.
    sys.stderr.write(
        f"The key {name} ({role}) is in {path}, and works at once where a server reads that file. "
        "Its secret is shown only this once:\n"
    )
    sys.stdout.write(f"{secret}\n")


def _remove(settings: Settings, path: Path, name: str) -> None:
    if any(key.name == name for key in keys_of_setting(settings.api_keys)):
        raise SettingsError(f"The key {name!r} is in API_KEYS: remove it there and restart the server")
    remove_key(path, name)
    sys.stderr.write(f"Removed key {name} from {path}: it stops working within a second, and its sessions end\n")


def _list(settings: Settings, path: Path) -> None:
    places: list[tuple[object, Sequence[Key]]] = [("API_KEYS", keys_of_setting(settings.api_keys))]
    places.append((path, read_keys(path) if path.exists() or settings.api_keys_file else ()))
    for place, keys in places:
        for key in keys:
            sys.stdout.write(f"{key.name:<24} {key.role.word:<6} {place}\n")
    if not any(keys for _, keys in places):
        sys.stderr.write(
            f"There are no keys, neither in API_KEYS nor in {path}: `key add NAME --role ROLE` makes one\n"
        )
