"""The product API on other GraphQL servers for Python, each in its own environment."""
