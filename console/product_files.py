"""Takes product files in and gives the selected products out: uploads and exports."""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, abort, request
from werkzeug.datastructures import FileStorage

from console import exports
from console.answers import page, refused
from console.forms import Form
from console.products import selection
from console.uploads import Upload, take_in
from loading import TextFileError
from product import unprintable_character
from request_context import Context
from service import Service

_KEY_MAX = 100
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")


def add_product_files(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add the upload of a file of products, and the export of the selected ones."""
    max_bytes = service.settings.upload_max_bytes
    # Each keeps a thread busy for seconds: a few at a time leave the others to requests that are answered at once.
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
            upload = _taken_in(service, context(), file, form.key)
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
        selected = selection()
        if not slots.acquire(blocking=False):
            return _busy()
        return exports.answer(context(), selected, kind, slots.release)

    def _form_again(form: Form, trouble: str, upload: Upload | None) -> Response:
        shown = Form({"idempotency_key": form.key}, {"": trouble})
        return page("upload_form.html", 422, place="products", form=shown, max_bytes=max_bytes, upload=upload)


def _busy() -> Response:
    answer = refused("Too many files are sent or fetched at this moment: try again in a few seconds", 503)
    answer.headers["Retry-After"] = "5"
    return answer


def _taken_in(service: Service, context: Context, file: FileStorage | None, key: str) -> Upload:
    if not 1 <= len(key) <= _KEY_MAX or unprintable_character(key):
        raise TextFileError(f"The form's key has {len(key):,} characters: open the form again")
    if file is None or not file.filename:
        raise TextFileError("No file was chosen: choose a JSON, JSONL or CSV file of products")
    suffix = Path(file.filename).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="afterwrite-upload-") as folder:
        path = Path(folder) / f"upload{suffix if suffix in _SUFFIXES else ''}"
        file.save(path)
        if (size := path.stat().st_size) > service.settings.upload_max_bytes:
            most = service.settings.upload_max_bytes
            raise TextFileError(
                f"{file.filename[:100]} has {size:,} bytes: {most:,} are the limit (UPLOAD_MAX_BYTES)"
            )
        try:
            return take_in(service.queue, path, key, context.by)
        except TextFileError as error:
            raise TextFileError(str(error).replace(str(path), file.filename[:100])) from error
