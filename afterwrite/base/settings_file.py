"""Loads the settings file ``.env`` into the environment and reports invalid lines by number."""

import difflib
import io
import json
import os
from collections.abc import Callable, Collection
from pathlib import Path

# Names in the same file for the dev.py commands and for compose.
OF_OTHERS = {
    "API_KEY": "key that the commands of `dev.py` show to the server",
    "POSTGRES_PASSWORD": "password of PostgreSQL in containers, which `docker.sh` makes",
    "RABBITMQ_PASSWORD": "password of RabbitMQ in containers, which `docker.sh` makes",
    "RABBITMQ_PORT": "port on which this machine reaches RabbitMQ's console; 15672",
    "REDIS_PASSWORD": "password of Redis in containers, which `docker.sh` makes",
    "AIRFLOW_PORT": "port on which this machine reaches Airflow; 8080",
    "AIRFLOW_PARALLELISM": "tasks that Airflow runs at a time; 8",
    "AIRFLOW_ADMIN_PASSWORD": "password of Airflow's user `admin`, which `docker.sh` makes",
    "AIRFLOW_DATABASE_PASSWORD": "password of Airflow in PostgreSQL, which `docker.sh` makes",
    "AIRFLOW_SECRET_KEY": "secret of Airflow's pages, which `docker.sh` makes",
    "AIRFLOW_JWT_SECRET": "secret of Airflow's tokens, which `docker.sh` makes",
    "AIRFLOW_FERNET_KEY": "key of what Airflow encrypts, which `docker.sh` makes",
}
_OF_COMPOSE = ("COMPOSE_", "DOCKER_")
_PATHS = ("DATA_DIR", "LOG_FILE", "API_KEYS_FILE")
# Records, for child processes too, which names came from which file.
_CAME_FROM = "AFTERWRITE_SETTINGS_FROM"


class SettingsError(Exception):
    """An invalid setting; the text names it, the value, what is valid, and the settings file it came from."""

    def __init__(self, text: str, setting: str = "", file: Path | None = None) -> None:
        """``file`` is the file being read; without it, the one that ``setting`` was loaded from."""
        came = json.loads(os.environ.get(_CAME_FROM) or "{}")
        place = file or came.get(setting)
        super().__init__(f"{text} (it is in {place})" if place else text)


def settings_file() -> Path | None:
    """The file that ENV_FILE names, or else ``.env`` in the application's folder, if it exists."""
    named = os.environ.get("ENV_FILE", "").strip()
    if named == "off":
        return None
    path = project_folder() / ".env"
    return Path(named).expanduser() if named else (path if path.exists() else None)


def project_folder() -> Path:
    """The application's folder: the root of the clone if it has an ``app.py``, else the current folder."""
    clone = Path(__file__).parent.parent.parent
    return clone if (clone / "app.py").exists() else Path.cwd()


def use_settings_file(known: Collection[str], check: Callable[[str, str], object]) -> None:
    """Load the settings file into the environment, once; variables that are already set, even empty, win.

    ``known`` are the names of all settings; ``check`` raises SettingsError for an invalid value. Child processes
    inherit what was read, so editing the file does not affect a running server. Relative paths in the file are
    relative to the file's folder. Raises SettingsError.
    """
    path = settings_file()
    if path is None:
        return
    came: list[str] = []
    for name, value in read_settings_file(path, {*known, *OF_OTHERS}).items():
        if name in known:
            try:
                check(name, value)
            except SettingsError as error:
                raise SettingsError(str(error), file=path) from error
        is_path = name in _PATHS and value != "off"
        given = str(path.absolute().parent / Path(value).expanduser()) if is_path else value
        if name not in os.environ:
            os.environ[name] = given
            came.append(name)
    os.environ["ENV_FILE"] = "off"
    os.environ[_CAME_FROM] = json.dumps({name: str(path) for name in came})


def read_settings_file(path: Path, known: Collection[str]) -> dict[str, str]:
    """The non-empty values by name, from a file in python-dotenv's format.

    ``$NAME`` is not expanded: a secret may contain a dollar sign. Raises SettingsError for an unreadable file, a
    malformed line, an unknown name or a duplicate.
    """
    try:
        # Imported only if there is a file: dev.py runs before anything is installed.
        from dotenv.parser import parse_stream
    except ImportError as error:
        raise SettingsError(
            f"{path} takes python-dotenv, which this Python does not have: pip install -r requirements.txt"
        ) from error
    found: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(_text(path))):
        place = f"{path}, line {_line(binding.original.string, binding.original.line)}"
        name, value = binding.key, binding.value
        if binding.error or (name is not None and value is None):
            raise SettingsError(
                f"{place}: this is not NAME=VALUE; a value with quotes in it needs quotes around it"
            )
        if name is None or not value or not value.strip():
            continue
        _check_name(name, known, place)
        if name in found:
            raise SettingsError(f"{place}: {name} is set there again: leave one of the lines")
        found[name] = value.strip()
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"The file of settings {path} cannot be read: {reason}. Correct it, or ENV_FILE, or set ENV_FILE=off"
        ) from error


def _line(text: str, first: int) -> int:
    """The line where a binding begins: the parser counts preceding empty lines as part of it."""
    return first + len(text[: len(text) - len(text.lstrip())].splitlines())


def _check_name(name: str, known: Collection[str], place: str) -> None:
    if name == "ENV_FILE":
        raise SettingsError(f"{place}: ENV_FILE says where this file is: set it in the environment")
    if name in known or name.startswith(_OF_COMPOSE):
        return
    [nearest] = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)
    raise SettingsError(f"{place}: there is no setting {name[:60]!r}; did you mean {nearest}?")
