"""Keeps products, journal, ledger and tasks in PostgreSQL, for many processes; imported where DATABASE_URL is set."""
