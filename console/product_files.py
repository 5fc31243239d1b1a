"""Takes product files in and gives the selected products out: uploads and exports."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, abort, request
from werkzeug.datastructures import FileStorage

from console import exports
from console.answers import page
from console.forms import Form
from console.products import selection
from console.uploads import Upload, take_in
from loading import TextFileError
from request_context import Context
from service import Service

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")


def add_product_files(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add the upload of a file of products, and the export of the selected ones."""
    max_bytes = service.settings.upload_max_bytes

    @blueprint.get("/products/upload")
    def upload_form() -> Response:
        return page("upload_form.html", place="products", form=Form({}), max_bytes=max_bytes)

    @blueprint.post("/products/upload")
    def upload_products() -> Response:
        form = Form(request.form)
        file = request.files.get("file")
        try:
            upload = _taken_in(service, context(), file, form.key)
        except TextFileError as error:
            return _form_again(form, str(error), 422)
        if upload.trouble is not None:
            return _form_again(form, upload.trouble, 503)
        return page("upload_done.html", place="products", upload=upload, name=file.filename if file else "")

    @blueprint.get("/products/export.<kind>")
    def export_products(kind: str) -> Response:
        if kind not in exports.KINDS:
            abort(404, f"There is no export as {kind[:20]}: use {' or '.join(exports.KINDS)}")
        return exports.answer(context(), selection(), kind)

    def _form_again(form: Form, trouble: str, status: int) -> Response:
        shown = Form({"idempotency_key": form.key}, {"": trouble})
        return page("upload_form.html", status, place="products", form=shown, max_bytes=max_bytes)


def _taken_in(service: Service, context: Context, file: FileStorage | None, key: str) -> Upload:
    if file is None or not file.filename:
        raise TextFileError("No file was chosen: choose a JSON, JSONL or CSV file of products")
    suffix = Path(file.filename).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="afterwrite-upload-") as folder:
        path = Path(folder) / f"upload{suffix if suffix in _SUFFIXES else ''}"
        file.save(path)
        try:
            return take_in(service.queue, path, key, context.by)
        except TextFileError as error:
            raise TextFileError(str(error).replace(str(path), file.filename[:100])) from error
