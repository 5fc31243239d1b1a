"""An environment into which the wheel of this clone is installed."""

import contextlib
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from server_process import ROOT, Client, free_port


def build_wheel(folder: Path) -> Path:
    """The wheel of this clone, made in an empty folder."""
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--wheel-dir", str(folder)]
    subprocess.run([*command, "-qq", "--disable-pip-version-check"], check=True, timeout=600)
    [found] = folder.iterdir()
    return found


class Installation:
    """An environment into which the wheel was installed, and the folder of an application."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder / "shop"
        self.folder.mkdir()
        self.programs = folder / "environment" / "bin"
        venv.create(folder / "environment", symlinks=True)
        # The packages are those of this Python, without waiting for their downloads; afterwrite is the wheel's.
        [packages] = self.programs.parent.glob("lib/python*/site-packages")
        packages.joinpath("these.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
        python = str(self.programs / "python")
        command = [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps", str(wheel)]
        subprocess.run([*command, "--disable-pip-version-check"], check=True, timeout=300)
        self.port = free_port()
        self.folder.joinpath(".env").write_text(f"PORT={self.port}\n", encoding="utf-8")
        own = ("ENV_FILE", "DATA_DIR", "PORT", "PYTHONPATH")
        self._environment = {name: value for name, value in os.environ.items() if name not in own}

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program of the environment in the folder."""
        return subprocess.Popen(
            [str(self.programs / command[0]), *command[1:]],
            env=self._environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def run(self, *command: str) -> tuple[int, str, str]:
        """The exit code of a program, and what it says."""
        process = self.start(*command)
        said, complained = process.communicate(timeout=120)
        return process.returncode, said, complained

    def answers(self) -> bool:
        """Whether a server is ready."""
        with contextlib.suppress(OSError), contextlib.closing(Client(self.port)) as client:
            return client.request("GET", "/ready")[0] == 200
        return False
