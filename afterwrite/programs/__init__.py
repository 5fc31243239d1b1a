"""The programs behind the command ``afterwrite``."""
