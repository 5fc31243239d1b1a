"""What a resource is: its fields, checks and operations, and the compiled form. No I/O."""
