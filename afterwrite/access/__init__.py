"""Who may use what: keys, roles, sessions, the table of what needs which role, and who tries too often."""
