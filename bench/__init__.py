"""The benchmark: `python -m bench` compares Afterwrite with a plain version and prints one table."""
