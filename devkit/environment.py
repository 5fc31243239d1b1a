"""Creates the virtual environment from the pinned requirements; a stamp file lets later calls skip the work."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from afterwrite.base.durable_file import replace_file
from devkit.errors import CommandError

TO_RUN = "requirements.txt"
TO_DEVELOP = "requirements-dev.txt"
ON_POSTGRES = "requirements-postgres.txt"
ON_STACK = "requirements-stack.txt"
STAMP = "afterwrite-stamp.json"

Say = Callable[[str], None]


def say(text: str) -> None:
    """Print one line and flush it, so that it precedes the output of programs started next."""
    print(text, flush=True)  # noqa: T201


def to_run() -> str:
    """Return the requirements file that a server needs with the current settings."""
    if os.environ.get("PROCESS_ENGINE", "").strip().lower() == "airflow":
        return ON_STACK
    return ON_POSTGRES if os.environ.get("DATABASE_URL", "").strip() else TO_RUN


def ready_python(root: Path, requirements: str, say: Say) -> Path:
    """Return a Python that has every package of the file `requirements` in its pinned version.

    Uses the active virtual environment if it has them. Otherwise creates or completes `.venv` in the project;
    a broken or unfinished one is created again.
    """
    folder = root / ".venv"
    in_another_one = sys.prefix != sys.base_prefix and Path(sys.prefix).resolve() != folder.resolve()
    if in_another_one and not missing_packages(root / requirements):
        return Path(sys.executable)
    digest = digest_of(root / requirements)
    stamps = read_stamps(folder)
    if not stamps or not works(folder):
        make(folder, say)
        stamps = {}
    if stamps.get(requirements) != digest:
        _install(folder, root / requirements, say)
        done = {name: digest_of(root / name) for name in included_in(root / requirements)}
        replace_file(folder / STAMP, json.dumps({**stamps, **done, requirements: digest}))
    return python_of(folder)


def separate_environment(folder: Path, requirements: Path, *packages: str) -> Path:
    """Return the folder of programs of an environment that has exactly these pinned packages.

    It is in `folder`, apart from .venv; it is created, which downloads the packages, unless it is there already.
    """
    stamp = folder / "afterwrite-stamp"
    wanted = hashlib.sha256(" ".join(packages).encode() + requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [str(python_of(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages, "-r", requirements], check=True, stderr=subprocess.PIPE)
        replace_file(stamp, wanted)
    return python_of(folder).parent


def missing_packages(requirements: Path) -> list[str]:
    """Return the pins of `requirements` that the running Python does not satisfy exactly."""
    return [f"{name}=={version}" for name, version in pins(requirements) if _installed(name) != version]


def pins(requirements: Path) -> Iterator[tuple[str, str]]:
    """Yield name and version of each pinned package for this platform, including those of included files."""
    for line in requirements.read_text(encoding="utf-8").splitlines():
        text, _, marker = (part.strip() for part in line.partition("#")[0].partition(";"))
        if text.startswith("-r"):
            yield from pins(requirements.parent / text[2:].strip())
        elif text and _applies(marker):
            name, _, version = text.partition("==")
            yield name.strip(), version.strip()


def digest_of(requirements: Path) -> str:
    """Return a digest of `requirements` and the files that it includes."""
    content = requirements.read_bytes()
    inner = "".join(digest_of(requirements.parent / name) for name in _named_in(requirements))
    return hashlib.sha256(content + inner.encode()).hexdigest()


def included_in(requirements: Path) -> list[str]:
    """Return the names of the files that `requirements` includes, recursively."""
    named = _named_in(requirements)
    return [name for first in named for name in (first, *included_in(requirements.parent / first))]


def _named_in(requirements: Path) -> list[str]:
    return re.findall(r"^-r\s*(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)


def read_stamps(folder: Path) -> dict[str, str]:
    """Return the digests of the requirement files whose installation has finished."""
    try:
        stamps = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def works(folder: Path) -> bool:
    """Return whether the environment's Python starts and finds its packages.

    It does not if its base Python was removed or replaced by another version.
    """
    try:
        probe = subprocess.run([python_of(folder), "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return False
    return probe.returncode == 0


def make(folder: Path, say: Say) -> None:
    """Create an empty virtual environment of the running Python; replaces the contents of `folder`."""
    if not importlib.util.find_spec("ensurepip"):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CommandError(
            f"this Python ({sys.executable}) has no venv module. On Debian and Ubuntu it is a separate package: "
            f"apt-get install python{version}-venv (or python3-venv), then run this again"
        )
    again = " again: it was unfinished or broken" if folder.exists() else ""
    say(f"Making {folder}{again}")
    builder = venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name == "posix")
    try:
        builder.create(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CommandError(f"cannot make the virtual environment {folder}: {error}") from error


def python_of(folder: Path) -> Path:
    """Return the path of the environment's Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _install(folder: Path, requirements: Path, say: Say) -> None:
    say(f"Installing {requirements.name}")
    (folder / STAMP).unlink(missing_ok=True)  # marks the environment as unfinished
    quiet = ["-qq", "--disable-pip-version-check", "--no-input"]
    command = [str(python_of(folder)), "-m", "pip", "install", *quiet, "-r", str(requirements)]
    code = subprocess.call(command, cwd=requirements.parent)
    if code != 0:
        raise CommandError(f"pip could not install {requirements.name} (exit code {code}): see its output above")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _applies(marker: str) -> bool:
    found = re.fullmatch(r"sys_platform\s*(==|!=)\s*[\"'](\w+)[\"']", marker)
    if not found:
        return True
    return (sys.platform == found[2]) == (found[1] == "==")
