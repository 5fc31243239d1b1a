"""Runs a program in a clone: ``python -m afterwrite PROGRAM``."""

import sys

from afterwrite.programs.command_line import main

if __name__ == "__main__":
    sys.exit(main())
