"""Upload and export of product files."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Blueprint, Response, abort, request
from werkzeug.datastructures import FileStorage

from afterwrite.base.text import unprintable_character
from afterwrite.console import exports
from afterwrite.console.answers import page, refused
from afterwrite.console.forms import Form, given
from afterwrite.console.products import selection
from afterwrite.console.uploads import Upload, take_in
from afterwrite.loading import DecimalSign, TextFileError
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource
from afterwrite.service.context import Context
from afterwrite.service.service import Service

_KEY_MAX = 100
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt")


def add_product_files(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add the upload of a product file and the export of the selected products."""
    resource = service.records[first_version.RESOURCE].resource
    max_bytes = service.settings.upload_max_bytes
    # Each holds a thread for seconds; the limit leaves threads for short requests.
    slots = threading.BoundedSemaphore(max(1, service.settings.threads // 8))

    @blueprint.get("/products/upload")
    def upload_form() -> Response:
        return page("upload_form.html", place="products", form=Form({}), max_bytes=max_bytes, upload=None)

    @blueprint.post("/products/upload")
    def upload_products() -> Response:
        form = Form(request.form)
        file = request.files.get("file")
        if not slots.acquire(blocking=False):
            return _busy()
        try:
            upload = _taken_in(service, resource, context(), file, form)
        except TextFileError as error:
            return _form_again(form, str(error), None)
        finally:
            slots.release()
        if upload.trouble is not None:
            return _form_again(form, upload.trouble, upload)
        return page("upload_done.html", place="products", upload=upload, name=file.filename if file else "")

    @blueprint.get("/products/export.<kind>")
    def export_products(kind: str) -> Response:
        if kind not in exports.KINDS:
            abort(404, f"There is no export as {kind[:20]}: use {' or '.join(exports.KINDS)}")
        selected = selection(resource)
        if not slots.acquire(blocking=False):
            return _busy()
        return exports.answer(context(), selected, kind, slots.release)

    def _form_again(form: Form, trouble: str, upload: Upload | None) -> Response:
        values = {"idempotency_key": form.key, "decimal": form.values.get("decimal", "")}
        shown = Form(values, {"": trouble})
        return page("upload_form.html", 422, place="products", form=shown, max_bytes=max_bytes, upload=upload)


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
        raise TextFileError("No file was chosen: choose a JSON, JSONL or CSV file of products")
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
