"""The programs that the command afterwrite runs."""
