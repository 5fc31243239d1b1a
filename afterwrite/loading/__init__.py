"""Loading of files of records: parse, validate, store the valid rows."""

from pathlib import Path

from afterwrite.loading.record_file import Format, RecordFile
from afterwrite.loading.rows import Row, UnreadableRow
from afterwrite.loading.text_blocks import TextFileError
from afterwrite.resources.feed_numbers import DecimalSign

__all__ = ["SAMPLE_PRODUCTS", "DecimalSign", "Format", "RecordFile", "Row", "TextFileError", "UnreadableRow"]

SAMPLE_PRODUCTS = Path(__file__).with_name("sample_catalogue.json")
"""The sample catalogue of a new installation, for the resource Product."""
