"""What an uploaded file leaves behind: nothing, whatever went wrong with it."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from declared import PRODUCT
from werkzeug.datastructures import FileStorage

from afterwrite.console.record_files import kept_while_read
from afterwrite.loading import RecordFile, TextFileError

resource = pytest.importorskip("resource", reason="limits of descriptors are a matter of POSIX")


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Take every descriptor that this process may open, as many connections do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def upload() -> FileStorage:
    return FileStorage(io.BytesIO(b"title,price\nLamp,1\n"), "lamps.csv")


def test_an_upload_without_a_descriptor_leaves_nothing_and_says_why(temporary: Path) -> None:
    with (
        no_descriptor_left(),
        pytest.raises(TextFileError, match=r"cannot store the file: Too many open files\. .*send it again"),
        kept_while_read(upload()),
    ):
        pytest.fail("there was no descriptor to store it with")
    assert list(temporary.iterdir()) == []


def test_an_upload_is_removed_though_descriptors_ran_out_while_it_was_read(temporary: Path) -> None:
    with contextlib.ExitStack() as stack:
        with kept_while_read(upload()) as path:
            assert path.suffix == ".csv"
            assert path.read_bytes() == b"title,price\nLamp,1\n"
            stack.enter_context(no_descriptor_left())
            with pytest.raises(TextFileError, match="Too many open files"):
                RecordFile(PRODUCT, path)
        assert not path.exists()
    assert list(temporary.iterdir()) == []
