"""Access control: API keys, roles, browser sessions, the table of required roles, and rate limits."""
