"""Small files survive a power cut: how they are written, and what a start says about one that was damaged."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from access_site import KEYS
from server_process import ROOT, ServerProcess

MakeServer = Callable[..., ServerProcess]
SECRETS = ("webhook-secret", "session-secret")
START_SECONDS = 30
CALLS = "write,fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="traces system calls of Linux"),
    pytest.mark.one_database("it looks at files"),
]

_RECORD = """
import os, sys
from pathlib import Path
from devkit.background_server import record
from devkit.place import temporary_place
assert record(temporary_place(Path(sys.argv[1])), os.getpid(), in_background=True)
"""
_HOLD_LOCK = """
import sys
from pathlib import Path
from afterwrite.base.durable_file import lock_of
with lock_of(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
_KEEP = """
import sys
from pathlib import Path
from afterwrite.storage.sqlite.secret_file import kept_secret
print(kept_secret(Path(sys.argv[1]), sys.argv[2] * 64, "secret"))
"""


def _strace() -> str:
    """Where strace is; the test is skipped without it, save in CI."""
    found = shutil.which("strace")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI has to have strace")
    if found is None:
        pytest.skip("strace is not installed")
    return found


def _tracing(trace: Path) -> list[str]:
    """The beginning of a command line that writes the system calls of a process, with the paths of its files."""
    return [_strace(), "-f", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(trace)]


def _run(*arguments: str, before: list[str] | None = None, **environment: str) -> str:
    """Run Python in the project's folder; returns its standard output."""
    done = subprocess.run(
        [*(before or []), sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _assert_durable(trace: Path, path: Path) -> None:
    """The data went into another file, that file to the disk, its new name after that, and the name to the disk."""
    unfinished = re.escape(f"{path}.new")
    steps = (
        rf"write\(\d+<{unfinished}>, ",
        rf"fsync\(\d+<{unfinished}>\) += 0",
        rf'rename(at2?)?\(.*"{unfinished}", .*"{re.escape(str(path))}".*\) += 0',
        rf"fsync\(\d+<{re.escape(str(path.parent))}>\) += 0",
    )
    calls = [line.partition(" ")[2].lstrip() for line in trace.read_text().splitlines()]  # without the process id
    ours = [step for call in calls for step, form in enumerate(steps) if re.match(form, call)]
    renamed = ours.index(2)
    assert ours[: renamed + 2] == [*([3] * (renamed - 2)), 0, 1, 2, 3], calls
    assert not [call for call in calls if re.match(rf"write\(\d+<{re.escape(str(path))}>", call)], calls


def test_keys_are_on_disk_when_key_add_and_key_remove_say_so(tmp_path: Path) -> None:
    folder, path = tmp_path / "new" / "data", tmp_path / "new" / "data" / "api-keys"
    made, removed = tmp_path / "made", tmp_path / "removed"
    # Without site packages, as on a machine where nothing is installed.
    add = ("-S", "dev.py", "key", "add", "ann", "--role", "write")
    _run(*add, before=_tracing(made), DATA_DIR=str(folder))
    _assert_durable(made, path)
    _assert_folders_durable(made, folder)
    _run("-S", "dev.py", "key", "add", "bob", "--role", "read", DATA_DIR=str(folder))
    _run("-S", "dev.py", "key", "remove", "ann", before=_tracing(removed), DATA_DIR=str(folder))
    _assert_durable(removed, path)
    assert path.read_text().startswith("bob:")


def test_the_secrets_and_the_data_folder_are_on_disk_when_the_server_starts(
    make_server: MakeServer, tmp_path: Path
) -> None:
    folder, trace = tmp_path / "new" / "data", tmp_path / "trace"
    server = make_server(folder, LOG_FILE="off")
    shutil.rmtree(folder.parent, ignore_errors=True)
    server.start(*_tracing(trace), keep_errors=True).kill()  # nothing of the test makes a folder
    for name in SECRETS:
        _assert_durable(trace, folder / name)
        assert (folder / name).stat().st_mode & 0o077 == 0
    _assert_folders_durable(trace, folder)


def test_the_record_of_a_running_server_is_on_disk(tmp_path: Path) -> None:
    folder, trace = tmp_path / "new" / "data", tmp_path / "trace"
    _run("-c", _RECORD, str(folder), before=_tracing(trace))
    _assert_durable(trace, folder / "server.pid")
    _assert_folders_durable(trace, folder)


def test_the_name_of_a_folder_that_is_there_already_is_on_disk_too(tmp_path: Path) -> None:
    folder, trace = tmp_path / "new" / "data", tmp_path / "trace"
    folder.mkdir(parents=True)  # as a process leaves it that ends right after it
    _run("-c", _RECORD, str(folder), before=_tracing(trace))
    assert re.search(rf"fsync\(\d+<{re.escape(str(folder.parent))}>\) += 0", trace.read_text())


def _assert_folders_durable(trace: Path, folder: Path) -> None:
    """Both the folder and the one above it were made, and each name went to the disk after that."""
    text = trace.read_text()
    for made in (folder.parent, folder):
        place = text.index(f'mkdir("{made}"')
        assert re.search(rf"fsync\(\d+<{re.escape(str(made.parent))}>\) += 0", text[place:]), text


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 65, b"ab12\n", b"x" * 64 + b"\n", b"whsec_" + b"\0" * 64, b"\xff\xfe" * 32],
    ids=["empty", "NULs", "too short", "not hexadecimal", "NULs behind a prefix", "not UTF-8"],
)
def test_a_damaged_secret_stops_the_start_with_one_line_and_is_replaced_when_it_is_deleted(
    make_server: MakeServer, name: str, content: bytes
) -> None:
    server = make_server()
    path = server.data_dir / name
    server.data_dir.mkdir(exist_ok=True)
    path.write_bytes(content)
    process = server.launch(keep_errors=True)
    _out, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1
    assert said.startswith(f"afterwrite: The {name.replace('-', ' ')} {path} ")
    assert said.count("\n") == 1, said
    assert path.read_bytes() == content
    path.unlink()
    if content == b"":
        server.start()
        assert re.fullmatch(r"(whsec_)?[0-9a-f]{64}\n", path.read_text())


def test_processes_that_make_a_secret_at_once_end_with_one(tmp_path: Path) -> None:
    path = tmp_path / "session-secret"
    makers = [
        subprocess.Popen([sys.executable, "-c", _KEEP, str(path), digit], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for digit in "0123456789abcdef"
    ]
    kept = {maker.communicate(timeout=START_SECONDS)[0] for maker in makers}
    assert kept == {path.read_text()}


def test_keys_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    names = [f"key{number}" for number in range(12)]
    commands = [
        subprocess.Popen(
            [sys.executable, "-S", "dev.py", "key", "add", name, "--role", "read"],
            cwd=ROOT,
            env=os.environ | {"DATA_DIR": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in names
    ]
    assert [command.wait(START_SECONDS) for command in commands] == [0] * len(names)
    lines = (tmp_path / "api-keys").read_text().splitlines()
    assert {line.partition(":")[0] for line in lines} == set(names)


def test_a_killed_key_command_does_not_stop_the_next_one(tmp_path: Path) -> None:
    path, left = tmp_path / "api-keys", tmp_path / "api-keys.new"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD_LOCK, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    left.write_text("half a li")
    _run("-S", "dev.py", "key", "add", "ann", "--role", "read", DATA_DIR=str(tmp_path), API_KEYS=KEYS)
    assert path.read_text().startswith("ann:read:sha256-")
    assert not left.exists()
