"""GraphQL types and schema."""
