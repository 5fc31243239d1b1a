"""Jobs on Airflow: messages, and the clients of RabbitMQ, Redis and Airflow."""
