"""The benchmark: `python -m bench` measures Afterwrite beside a plain version and prints one table."""
