"""Creates the schema and loads products: name here the initial products of a new catalogue."""

import gc
import sys

from afterwrite import SAMPLE_PRODUCTS, init_db

if __name__ == "__main__":
    gc.disable()  # a load creates millions of objects to scan, but no cycles
    sys.exit(init_db(sys.argv[1:], sample=SAMPLE_PRODUCTS, program="init_db.py"))
