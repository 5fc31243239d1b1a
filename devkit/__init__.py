"""The commands of dev.py and of the container."""
