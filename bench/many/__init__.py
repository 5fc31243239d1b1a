"""Measurements of many processes on one PostgreSQL: `python -m bench --postgres`."""
