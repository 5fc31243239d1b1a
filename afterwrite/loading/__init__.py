"""Loading of product files: parse, validate, store the valid rows."""

from pathlib import Path

from afterwrite.loading.product_file import CatalogueFile, Format
from afterwrite.loading.rows import Row, UnreadableRow
from afterwrite.loading.text_blocks import TextFileError
from afterwrite.resources.feed_fields import NAMES
from afterwrite.resources.feed_numbers import DecimalSign

__all__ = [
    "NAMES",
    "SAMPLE_PRODUCTS",
    "CatalogueFile",
    "DecimalSign",
    "Format",
    "Row",
    "TextFileError",
    "UnreadableRow",
]

SAMPLE_PRODUCTS = Path(__file__).with_name("sample_catalogue.json")
"""The sample catalogue of a new installation."""
