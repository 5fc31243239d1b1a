"""Holds the SQL of products, journal and ledger; nothing else in the project does but the store of tasks."""
