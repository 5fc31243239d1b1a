"""What a product and a write on it are: fields, checks and the state after a write. No I/O."""
