"""Creates the schema and loads products: name here the products with which a new catalogue begins."""

import gc
import sys

from afterwrite import SAMPLE_PRODUCTS, init_db

if __name__ == "__main__":
    gc.disable()  # a load makes no cycles, only millions of objects to look through
    sys.exit(init_db(sys.argv[1:], sample=SAMPLE_PRODUCTS, program="init_db.py"))
