"""Loads product files: reads them as product feeds give them, checks their rows, stores the good ones."""

from loading.feed_fields import NAMES
from loading.product_file import CatalogueFile, Format
from loading.rows import Row, UnreadableRow
from loading.text_blocks import TextFileError

__all__ = ["NAMES", "CatalogueFile", "Format", "Row", "TextFileError", "UnreadableRow"]
