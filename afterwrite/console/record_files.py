"""Upload and export of the records of a resource."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, request
from werkzeug.datastructures import FileStorage

from afterwrite.base.text import unprintable_character
from afterwrite.console import exports
from afterwrite.console.answers import page, refused
from afterwrite.console.forms import Form, given
from afterwrite.console.record_list import RecordList
from afterwrite.console.uploads import Upload, take_in
from afterwrite.loading import DecimalSign, TextFileError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.service.context import Context
from afterwrite.service.service import Service

_KEY_MAX = 100
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt")


class FileSlots(threading.BoundedSemaphore):
    """Bounds the uploads and exports that run at once: each holds a thread for seconds, and others need threads too."""

    def __init__(self, threads: int) -> None:
        super().__init__(max(1, threads // 8))


def add_record_files(
    blueprint: Blueprint, service: Service, context: Callable[[], Context], shown_list: RecordList, slots: FileSlots
) -> None:
    """Add the upload of a file of a resource's records, and the export of the selected ones."""
    pages, resource = shown_list.pages, shown_list.resource
    values: dict[str, Any] = {
        "place": pages.place,
        "pages": pages,
        "max_bytes": service.settings.upload_max_bytes,
        "columns": _columns(resource),
    }

    def upload_form() -> Response:
        return page("upload_form.html", form=Form({}), upload=None, **values)

    def upload() -> Response:
        form = Form(request.form)
        file = request.files.get("file")
        if not slots.acquire(blocking=False):
            return _busy()
        try:
            found = _taken_in(service, resource, context(), file, form)
        except TextFileError as error:
            return form_again(form, str(error), None)
        finally:
            slots.release()
        if found.trouble is not None:
            return form_again(form, found.trouble, found)
        return page("upload_done.html", upload=found, name=file.filename if file else "", **values)

    def export(kind: str) -> Response:
        if kind not in exports.KINDS:
            abort(404, f"There is no export as {kind[:20]}: use {' or '.join(exports.KINDS)}")
        selected = shown_list.selection()
        if not slots.acquire(blocking=False):
            return _busy()
        return exports.answer(context(), resource, selected, kind, slots.release)

    def form_again(form: Form, trouble: str, found: Upload | None) -> Response:
        kept = {"idempotency_key": form.key, "decimal": form.values.get("decimal", "")}
        return page("upload_form.html", 422, form=Form(kept, {"": trouble}), upload=found, **values)

    blueprint.add_url_rule(f"{pages.path}/upload", pages.endpoint("upload-form"), upload_form)
    blueprint.add_url_rule(f"{pages.path}/upload", pages.endpoint("upload"), upload, methods=["POST"])
    blueprint.add_url_rule(f"{pages.path}/export.<kind>", pages.endpoint("export"), export)


def _columns(resource: CompiledResource) -> str:
    """The columns of a file, for people: those that it must have, then the others."""
    needed = [name for name, field in resource.fields.items() if field.required and field.default is None]
    others = [name for name in resource.fields if name not in needed]
    told = [" and ".join(filter(None, [", ".join(needed[:-1]), needed[-1]]))] if needed else []
    return "; ".join([*told, *(["optional " + ", ".join(others)] if others else [])])


def _busy() -> Response:
    answer = refused("Too many uploads and downloads are running: try again in a few seconds", 503)
    answer.headers["Retry-After"] = "5"
    return answer


def _taken_in(
    service: Service, resource: CompiledResource, context: Context, file: FileStorage | None, form: Form
) -> Upload:
    key, decimal = form.key, given(form.values, "decimal")
    if not 1 <= len(key) <= _KEY_MAX or unprintable_character(key):
        raise TextFileError(f"The form's key has {len(key):,} characters: open the form again")
    if decimal is not None and decimal not in list(DecimalSign):
        raise TextFileError(f"decimal is {decimal[:20]!r}: choose {' or '.join(DecimalSign)}")
    if file is None or not file.filename:
        nouns = resource.plural.replace("_", " ")
        raise TextFileError(f"No file was chosen: choose a JSON, JSONL or CSV file of {nouns}")
    with kept_while_read(file) as path:
        if (size := path.stat().st_size) > service.settings.upload_max_bytes:
            limit = service.settings.upload_max_bytes
            raise TextFileError(f"{file.filename[:100]} has {size:,} bytes: {limit:,} are the limit (UPLOAD_MAX_BYTES)")
        try:
            sign = None if decimal is None else DecimalSign(decimal)
            return take_in(service.queue, resource, path, key, context.by, sign)
        except TextFileError as error:
            raise TextFileError(str(error).replace(str(path), file.filename[:100])) from error


@contextmanager
def kept_while_read(file: FileStorage) -> Iterator[Path]:
    """The path of an uploaded file, which is removed at the end. Raises TextFileError if it cannot be stored.

    A file rather than a folder, because removing a folder needs a file descriptor and none may be left.
    """
    suffix = Path(file.filename or "").suffix.lower()
    path: Path | None = None
    try:
        try:
            handle, name = tempfile.mkstemp(suffix if suffix in _SUFFIXES else "", "afterwrite-upload-")
            path = Path(name)
            with os.fdopen(handle, "wb") as stored:
                file.save(stored)
        except OSError as error:
            raise TextFileError(
                f"The server cannot store the file: {error.strerror}. Nothing was accepted: send it again later"
            ) from error
        yield path
    finally:
        if path is not None:
            path.unlink(missing_ok=True)
