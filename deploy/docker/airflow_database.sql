-- Creates Airflow's database and role in the profile's PostgreSQL. Runs at every start and also sets a changed password.
-- The role has no access to the products and tasks, which are in another database.
\set ON_ERROR_STOP on
\getenv password AIRFLOW_DATABASE_PASSWORD
SELECT 'CREATE ROLE airflow LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airflow') \gexec
ALTER ROLE airflow PASSWORD :'password';
SELECT 'CREATE DATABASE airflow OWNER airflow ENCODING ''UTF8'' TEMPLATE template0'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'airflow') \gexec
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
