"""Storage in PostgreSQL, shared by many processes; imported only with DATABASE_URL."""
