"""Products and writes as pure data: fields, validation and the state after a write. No I/O."""
