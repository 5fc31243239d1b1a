-- Makes Airflow's own database and its role in the profile's PostgreSQL; run at every start, so that it also sets a new
-- password. The role owns nothing else: products and tasks are in another database, with another role.
\set ON_ERROR_STOP on
\getenv password AIRFLOW_DATABASE_PASSWORD
SELECT 'CREATE ROLE airflow LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airflow') \gexec
ALTER ROLE airflow PASSWORD :'password';
SELECT 'CREATE DATABASE airflow OWNER airflow ENCODING ''UTF8'' TEMPLATE template0'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'airflow') \gexec
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
