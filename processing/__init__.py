"""What processing a list of products comes to, as pure functions: the same whoever runs it."""
