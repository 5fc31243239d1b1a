"""The processor time and memory of a process and its descendants, from Linux's /proc."""

import os
from pathlib import Path

_PROC = Path("/proc")
# Places in /proc/PID/stat after the name in parentheses, which may contain spaces (man 5 proc).
_PARENT, _RESIDENT_PAGES = 1, 21
_TIMES = slice(11, 15)  # utime, stime, cutime, cstime


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of `pid` and its descendants, in steps of 10 ms.

    Descendants that have ended count as soon as their parent has waited for them.
    """
    ticks = sum(int(field) for fields in _tree(pid).values() for field in fields[_TIMES])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of `pid` and its descendants; a page that two of them share counts twice."""
    return sum(int(fields[_RESIDENT_PAGES]) for fields in _tree(pid).values()) * os.sysconf("SC_PAGE_SIZE")


def pids(pid: int) -> list[int]:
    """Return `pid` and its descendants, parents first."""
    return list(_tree(pid))


def _tree(pid: int) -> dict[int, list[str]]:
    """Return the stat fields of `pid` and of every process below it."""
    stats = {int(path.name): fields for path in _PROC.iterdir() if path.name.isdigit() and (fields := _stat(path))}
    found = [pid]
    for parent in found:
        found += [child for child, fields in stats.items() if int(fields[_PARENT]) == parent]
    return {one: stats[one] for one in found}


def _stat(path: Path) -> list[str]:
    """Return the fields after the process' name, none if it has ended."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
