"""Creates the schema and loads files of records: name here the initial products of a new catalogue."""

import gc
import sys

from afterwrite import SAMPLE_PRODUCTS, init_db
from afterwrite.base.utf8 import use_utf8
from app import application

if __name__ == "__main__":
    use_utf8()
    gc.disable()  # a load creates millions of objects to scan, but no cycles
    sys.exit(init_db(sys.argv[1:], application.resources, SAMPLE_PRODUCTS, program="init_db.py"))
