"""How messages name our commands. Standard library only, for dev.py."""

from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def own_command(verb: str) -> str:
    """The command line of a verb such as ``key add``: with dev.py in a clone, else of the installed package."""
    return f"python3 dev.py {verb}" if (ROOT / "dev.py").exists() else f"afterwrite {verb}"
