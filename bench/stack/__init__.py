"""Measurements of the path from Afterwrite to Airflow and back: `python -m bench --stack`."""
