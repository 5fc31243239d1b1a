"""Reads product files: a JSON array, JSONL or CSV, as product feeds give them; knows no database."""

from catalogue_files.feed_fields import NAMES
from catalogue_files.product_file import CatalogueFile, Format
from catalogue_files.rows import Row, UnreadableRow
from catalogue_files.text_blocks import TextFileError

__all__ = ["NAMES", "CatalogueFile", "Format", "Row", "TextFileError", "UnreadableRow"]
