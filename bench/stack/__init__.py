"""The measurements of what is between Afterwrite and Airflow: `python -m bench --stack`."""
