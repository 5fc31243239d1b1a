"""Copies an embedded installation into PostgreSQL, once; it can be interrupted at any moment and run again."""
