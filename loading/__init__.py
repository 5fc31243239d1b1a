"""Loads product files: reads them as product feeds give them, checks their rows, stores the good ones."""

from loading.product_file import CatalogueFile, Format
from loading.rows import Row, UnreadableRow
from loading.text_blocks import TextFileError
from processing.feed_fields import NAMES
from processing.feed_numbers import DecimalSign

__all__ = ["NAMES", "CatalogueFile", "DecimalSign", "Format", "Row", "TextFileError", "UnreadableRow"]
