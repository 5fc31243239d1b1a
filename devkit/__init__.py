"""The daily commands of dev.py and of the container; standard library only."""
