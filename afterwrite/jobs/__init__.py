"""What goes between Afterwrite and Airflow: messages, and the clients of RabbitMQ, Redis and Airflow."""
